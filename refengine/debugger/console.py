"""What one types at the debugger, and what it answers: a command is a method `do_…`, its docstring is its help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from os.path import expanduser
from pathlib import Path
from textwrap import wrap

import numpy as np

from ..errors import InputError
from ..explanation import explain
from ..explanation import text as told_lines
from ..files import write_npy, write_npz
from ..model import Array, Tensor
from ..plan import Step
from ..tensors import pictures
from ..tensors.arrays import META
from ..tensors.difference import unlike
from ..tensors.dumps import write_dump
from ..tensors.stats import activation_of, clamp_range, histogram, stats
from ..text import counted, paragraphs
from . import compare, info, text, why
from .condition import WORDS, Index, condition, elements, index, shown_index
from .names import dump_name, dumped, step_named, steps_named, suggested, tensor_named
from .session import START, Breakpoint, Session, Watch

ALIASES = {
    "b": "break",
    "c": "continue",
    "d": "delete",
    "e": "explain",
    "exit": "quit",
    "h": "help",
    "i": "info",
    "l": "list",
    "n": "next",
    "p": "print",
    "q": "quit",
    "rc": "reverse",
    "reverse-continue": "reverse",
    "reverse-next": "back",
    "rn": "back",
    "s": "step",
    "u": "until",
    "where": "list",
}
"""gdb's and pdb's habits, where a prefix would be ambiguous or another word."""

AROUND = 10
"""How many steps `list` shows before and after the current one in long models."""

MAPS = 64
"""How many maps `show` puts into a grid at most."""

CONTRIBUTIONS = 10
"""How many inputs `why` lists."""

LONGEST = 2000
"""Characters in a command."""


HINT = "Unambiguous beginnings will do, and gdb's letters (n c b p l i q …); an empty line repeats the last one."
"""What stands below the list of commands."""


class Console:
    """A session as a conversation: `run` a line, read the lines it yields.

    `width` is the terminal's, `colour` whether it shows xterm's greys. `done` is true after `quit`, `differed` after a
    `compare` that found a difference.
    """

    def __init__(self, session: Session, width: int = 100, colour: bool = False) -> None:
        self.session = session
        self.width = width
        self.colour = colour
        self.done = self.differed = False
        self._last = ""

    def run(self, command: str) -> Iterator[str]:
        """One command, an empty one being the last again. Raises `RefengineError` or `OSError`: what was wrong."""
        command = command.strip() or self._last
        if len(command) > LONGEST or "\0" in command:
            raise InputError(f"a command has {LONGEST} characters at most, and none of them is zero")
        self._last = command
        if command:
            word, _, rest = command.partition(" ")
            method = self._method(word)
            if rest and _usage(method).endswith(method.__name__.removeprefix("do_")):
                raise InputError(f"{_usage(method)} takes nothing more")
            yield from method(rest.strip())

    def complete(self, line: str) -> list[str]:
        """What the last word of a line may become."""
        before, _, word = line.rpartition(" ")
        if not before.strip():
            return [name for name in self.commands() if name.startswith(word)]
        first, *more = before.split()
        try:
            command = self._method(first).__name__.removeprefix("do_")
        except InputError:
            return []
        tensors = [tensor.name for tensor in self.session.frame.graph.tensors] + ["out", "in"]
        steps = [step for plan in self.session.plan.plans.values() for step in plan.steps]
        operators = sorted({step.name for step in steps})
        operators += [tensor.name for step in steps for tensor in step.outputs]
        names = {
            **dict.fromkeys(("print", "stats", "show", "set", "watch"), tensors),
            **dict.fromkeys(("until", "goto"), operators),
            "break": WORDS if "if" in more else [*operators, "if"],
            "info": tensors if more else [*info.TOPICS],
            "save": _paths(word) if more else [*tensors, "all"],
            "compare": tensors if more else _paths(word),
            "help": self.commands(),
        }.get(command, [])
        return [f'"{n}"' if set(n) & set("; [") else n for n in names if n and n.startswith(word.lstrip('"'))]

    @classmethod
    def commands(cls) -> list[str]:
        return [name.removeprefix("do_") for name in dir(cls) if name.startswith("do_")]

    def about(self, command: str) -> str:
        """What a command does, in a few words."""
        return _summary(self._method(command))

    def where(self) -> Iterator[str]:
        """The place one stands at, as every command of movement tells it."""
        session = self.session
        place = f"inference {session.inference}, " if session.inferences > 1 else ""
        if session.position == START:
            inputs = ", ".join(f"{text.name_of(t)} {text.type_of(t)}" for t in session.plan.inputs)
            yield f"{place}start: input {inputs}"
            return
        record = session.current
        inside = "".join(f"{call}: " for call in record.path)
        outputs = list(zip(record.step.writes, (*record.outputs, *record.updates), strict=True))
        spans = ("not known" if t.index in record.unknown else self._span(t, x) for t, x in outputs)
        told = [f"{t.index} {text.type_of(t)}  {span}" for (t, _), span in zip(outputs, spans, strict=True)]
        told = told or ["nothing"]
        yield f"{place}{inside}{record.step.number} {text.operator(record.step)} → {told[0]}"
        yield from (f"  and {each}" for each in told[1:])
        if session.is_at_end:
            yield f"end of {'the inference' if session.inferences == 1 else f'inference {session.inference}'}"
            for tensor in self.session.plan.outputs:
                yield f"output {text.name_of(tensor)}{self._largest(tensor)}"

    # ---- moving --------------------------------------------------------------------------------------------

    def do_next(self, rest: str) -> Iterator[str]:
        """next [N | inference]: run the next step, or N of them; of a subgraph's nothing is seen (step goes inside).

        Behind the last step of an inference comes the start of the next one, if the input holds several; next
        inference goes there at once.
        """
        session = self.session
        if rest and "inference".startswith(rest):
            session.enter(session.inference + 1)
            yield from self.where()
            return
        yield from self._moved(rest, session.step)

    def do_step(self, rest: str) -> Iterator[str]:
        """step [N]: run the next step, or N of them, into the subgraphs of IF, WHILE and CALL_ONCE."""
        yield from self._moved(rest, self.session.step, into=True)

    def do_finish(self, rest: str) -> Iterator[str]:
        """finish: run to the end of the subgraph that one stands in, behind the operator that calls it."""
        depth = len(self.session.path)
        if not depth:
            raise InputError("this is the main graph; continue runs to its end")
        yield from self._stopped(self.session.over(self.session.step, depth - 1))

    def do_back(self, rest: str) -> Iterator[str]:
        """back [N | inference]: go back one step, or N of them; only an inference before is computed again.

        back inference goes to the start of the one before.
        """
        session = self.session
        if rest and "inference".startswith(rest):
            session.enter(session.inference - 1)
            yield from self.where()
            return
        yield from self._moved(rest, session.back)

    def do_goto(self, rest: str) -> Iterator[str]:
        """goto N: stand after operator N, ahead or behind; also start, end, an operator's name, or inference K."""
        session, (word, _, number) = self.session, rest.partition(" ")
        ends = {"start": START, str(START): START, "end": len(session.steps) - 1}
        if word == "inference":
            session.enter(_count(number))
        elif rest in ends:
            session.goto(ends[rest])
        else:
            step = step_named(session.plan, rest)
            if step.subgraph != session.plan.graph.index:
                raise InputError(
                    f"{step} is of subgraph {step.subgraph}, which may run often; until or break stop there"
                )
            session.goto(step.index)
        yield from self.where()

    def do_continue(self, rest: str) -> Iterator[str]:
        """continue: run to the next breakpoint, or to the end."""
        if self.session.is_over:
            raise InputError("the inference is at its end; back, goto or run")
        yield from self._stopped(self.session.advance())

    def do_until(self, rest: str) -> Iterator[str]:
        """until OP: run to the next operator of that type, index or output name, or a breakpoint."""
        session, wanted = self.session, steps_named(self.session.plan, rest)
        in_main = all(step in session.steps for step in wanted)
        is_last = session.inference == session.inferences - 1
        if is_last and in_main and session.reached >= max(step.index for step in wanted):
            raise InputError(f"there is no '{rest}' ahead; goto goes back")
        yield from self._stopped(session.advance(lambda step: step in wanted))

    def do_run(self, rest: str) -> Iterator[str]:
        """run: from the start to the first breakpoint, or to the end."""
        self.session.enter(0)
        yield from self._stopped(self.session.advance())

    def do_reverse(self, rest: str) -> Iterator[str]:
        """reverse: back to the breakpoint before (gdb's reverse-continue, rc), or to the start."""
        yield from self._stopped(self.session.retreat())

    # ---- breakpoints ---------------------------------------------------------------------------------------

    def do_break(self, rest: str) -> Iterator[str]:
        """break [OP] [if CONDITION]: stop after such an operator has run.

        OP is an operator's index, its type (SOFTMAX), or its output's name or a part of it. A condition is an
        expression over the record, in Python's syntax:

          break if saturation > 0.05       share of the output at the ends of its range
          break if max(abs(out)) == 127    out, input, weights are codes
          break if mean(real(out)) < 0.1   real(out) are their real values
          break CONV_2D if zeros > 0.9     share that stands for 0
          break if out[0,7] > out[0,3] and min(out) == -128

        A ReLU's zeros do not count as saturated. There are also min max mean sum abs any all, + - * / // %,
        comparisons, and, or, not. A condition does not hold where a step lacks what it speaks of. `info break` lists
        breakpoints, `delete N` removes one.
        """
        if not rest:
            raise InputError("break where? An operator's index, type or output name, or: if CONDITION")
        place, conditional, words = f" {rest} ".partition(" if ")
        every = [step for plan in self.session.plan.plans.values() for step in plan.steps]
        steps = steps_named(self.session.plan, place) if place.strip() else every
        places = frozenset((step.subgraph, step.index) for step in steps)
        stop = Breakpoint(rest, places, condition(words) if conditional else None)
        number = self.session.stop_at(stop)
        yield f"breakpoint {number}: {info.places(self.session, stop)}"

    def do_watch(self, rest: str) -> Iterator[str]:
        """watch TENSOR[slice]: stop after an operator has written it, and tell what it has become.

        Of a variable, which lives on from one inference to the next, only where these elements change. It is a
        breakpoint: `info break` lists it, `delete N` removes it, `reverse` goes back to it.
        """
        tensor, at = tensor_named(self.session, rest or "out")
        graph = self.session.frame.graph
        told = f"watch {tensor.index} {text.name_of(tensor)}{shown_index(at)}"
        watch = Watch(told, graph.index, tensor, at, self.session.resource_of(tensor))
        writers = info.places(self.session, watch)
        if not writers:
            raise InputError(f"no operator writes {text.about(tensor)}: it stays what it is")
        elements(tensor, np.broadcast_to(np.False_, tensor.shape), at)  # refused now if there are none
        yield f"breakpoint {self.session.stop_at(watch)}: {watch.text}, written by {writers}"

    def do_delete(self, rest: str) -> Iterator[str]:
        """delete [N]: remove breakpoint N, or all."""
        if not rest:
            self.session.breakpoints.clear()
        elif rest.isdecimal() and int(rest) in self.session.breakpoints:
            del self.session.breakpoints[int(rest)]
        else:
            raise InputError(f"there is no breakpoint '{rest}'; info break lists them")
        yield from ()

    # ---- looking -------------------------------------------------------------------------------------------

    def do_list(self, rest: str) -> Iterator[str]:
        """list [N | all]: the steps, what they read and write; → is where one stands, B a breakpoint."""
        session, plan = self.session, self.session.frame
        steps, here = plan.steps, START if session.position == START else session.current.step.index
        center = _count(rest) if rest not in ("", "all") else max(here, 0)
        if rest != "all" and len(steps) > 4 * AROUND:
            steps = steps[max(0, center - AROUND) : center + AROUND]
        plain = (each for each in session.breakpoints.values() if isinstance(each, Breakpoint) and not each.condition)
        stops = {place for each in plain for place in each.steps}
        start = ", ".join(text.type_of(tensor) for tensor in plan.inputs)
        rows = [("→" if here == START else "", "", "start", "", start, "")]
        rows += [
            (
                "→" if step.index == here else "B" if (step.subgraph, step.index) in stops else "",
                step.number,
                text.operator(step),
                f"{' '.join(str(t.index) for t in _fed(step))} → {' '.join(str(t.index) for t in step.outputs)}",
                ", ".join(map(text.type_of, step.outputs)),
                ", ".join(map(text.name_of, step.outputs)),
            )
            for step in steps
        ]
        yield from text.columns(rows, "rr")

    def do_info(self, rest: str) -> Iterator[str]:
        """info TOPIC: op [OP], tensor [TENSOR], quant [TENSOR], arena, break, changes or state.

        op      options, tensors and prepared params of an operator (the current one)
        tensor  one tensor; without a name, all of the current operator
        quant   scales and zero points, and the real values they reach
        arena   which tensors are alive when, how many bytes at each step, and TFLM's
                layout of them
        state   what lives from one inference to the next, as it is here: variables,
                and what operators keep
        """
        topic, _, name = rest.partition(" ")
        found = [word for word in info.TOPICS if topic and word.startswith(topic)]
        if len(found) != 1:
            meant = suggested(topic, info.TOPICS) if topic else ""
            raise InputError(f"info about what? {meant}{', '.join(info.TOPICS)}")
        yield from info.TOPICS[found[0]](self.session, name.strip())

    def do_print(self, rest: str) -> Iterator[str]:
        """print TENSOR[slice]: raw codes, and the real values they stand for beside them.

        TENSOR is out (out1 … further outputs and updated variables), in (in1 … further inputs), a tensor's index, its
        name, or a part of it that no other has (activations before constants); quote names with ; or spaces. Before the
        first step, out and in are the model's input. Slices are NumPy's: out[0,3,:,2:5].
        """
        tensor, at = tensor_named(self.session, rest or "out")
        yield text.about(tensor)
        yield from text.values(tensor, self.session.values(tensor), at, self.width)

    def do_stats(self, rest: str) -> Iterator[str]:
        """stats [TENSOR]: smallest, largest, mean, zeros, clamped share and a histogram (of out)."""
        tensor, at = tensor_named(self.session, rest or "out")
        values = elements(tensor, self.session.values(tensor), at)
        if at is not None and tensor.quantization is not None and len(tensor.quantization.scale) > 1:
            raise InputError(f"'{tensor.name}' has a scale for each channel; stats takes it as a whole")
        writer, real = self.session.writer(tensor), text.reader(tensor)
        activation = "NONE" if writer is None else activation_of(writer.op)
        found = stats(tensor, values, activation)
        yield f"{tensor.index} {text.name_of(tensor)} {text.type_of(tensor)}: {counted(found.count, 'value')}"
        for name, value in (("min", found.min), ("max", found.max), ("mean", found.mean)):
            yield f"  {name:<8}{value:<12.6g}{real(value)}".rstrip()
        yield f"  zeros   {found.zeros:.2%}"
        if bounds := clamp_range(tensor, activation):
            low, high = map(text.number, bounds)
            yield f"  clamped {found.below:.2%} at {low}, {found.above:.2%} at {high}"
            yield f"  saturation {found.saturation:.2%}"
        if found.nans:
            yield f"  NaN     {found.nans:,}"
        yield from text.bars(histogram(tensor, values))

    def do_show(self, rest: str) -> Iterator[str]:
        """show TENSOR[channel]: as a picture, or as a grid of its channels.

        out[3] is one channel, out[0:8] are several, and longer indices are slices of the array. Black is the smallest
        value shown, white the largest; without colours, ink is the upper half between them.
        """
        tensor, at = tensor_named(self.session, rest or "out")
        maps, names = self._maps(tensor, at)
        few = maps[:MAPS]
        black, white = (text.number(value.item()) for value in (few.min(), few.max()))
        yield f"{tensor.index} {text.name_of(tensor)} {text.type_of(tensor)}, black {black}, white {white}"
        yield from pictures.grid(pictures.grey(few), names[:MAPS], self.width, self.colour)
        if len(maps) > MAPS:
            example = f"{tensor.index}[{MAPS}:{2 * MAPS}]"
            yield f"… {len(maps) - MAPS} more of {len(maps)} maps; show some, such as {example}"

    def do_save(self, rest: str) -> Iterator[str]:
        """save TENSOR FILE: as .png, .npy, or .npz by its name; all: every tensor.

        PNG is what show draws, a pixel for each element; the others hold codes. `save all FILE.npz` runs to the end and
        keeps every tensor of the main graph: a dump that compare reads.
        """
        name, file = _two(rest, "save TENSOR FILE, for example: save out feature_maps.png")
        path, plan = Path(expanduser(file)), self.session.plan
        if name == "all":
            if path.suffix != ".npz":
                raise InputError("save all FILE.npz: only an .npz holds several tensors")
            computed = self._computed()
            write_dump(path, plan, {tensor.index: self.session.final(tensor) for tensor in computed})
            yield f"{counted(len(computed), 'tensor')} in {path}"
            return
        tensor, at = tensor_named(self.session, name)
        if path.suffix == ".png":
            array = pictures.mosaic(pictures.grey(self._maps(tensor, at)[0]))
            pictures.write(array, path)
        elif path.suffix in (".npy", ".npz"):
            array = elements(tensor, self.session.values(tensor), at)
            write_npy(path, array) if path.suffix == ".npy" else write_npz(path, {dump_name(plan, tensor): array})
        else:
            raise InputError(f"{file}: save writes .png, .npy and .npz")
        yield f"{array.dtype} {'×'.join(map(str, array.shape)) or 'scalar'} in {path}"

    def do_explain(self, rest: str) -> Iterator[str]:
        """explain [full] y,x,c: how an element of the current output came about; out1[y,x,c] is of another output.

        The batch index 0 is implied. full shows every term of long sums.
        """
        rest = rest.removeprefix("--")  # as on the command line, and as folded sums call it
        words, full = rest.removeprefix("full").strip(), rest.startswith("full")
        record = self.session.current
        name = re.match(r"out(\d*)", words)
        output = int(name[1] or 0) if name else 0
        words = words[name.end() :] if name else words
        if output >= len(record.step.writes):
            raise InputError(f"{record.step} has no output{f' {output}' if record.step.writes else ''}")
        tensor = record.step.writes[output]
        at = index(words.strip(" []")) if words.strip(" []") else ()
        whole = [i for i in at if isinstance(i, int)]
        if (not whole and tensor.shape) or len(whole) < len(at):
            zeros = ",".join("0" for _ in tensor.shape[1:]) or "0"
            raise InputError(f"explain which element of {text.type_of(tensor)}? For example: explain {zeros}")
        here = (tensor.index, self.session.inference)
        by_hand = {(c.tensor.index, c.inference) for c in self.session.changes if not c.tensor.is_variable}
        if here in by_hand and not self.session.path:
            raise InputError(f"the output of {record.step} was set by hand; undo or reset, then explain")
        implied = [0] if len(whole) == len(tensor.shape) - 1 and tensor.shape[0] == 1 else []
        told = explain(self.session.plan, record, implied + whole, output)
        place = ",".join(map(str, told.at))
        again = f"{name[0]}[{place}]" if name else place
        yield from told_lines(told, full, f"explain full {again} shows all")

    def do_why(self, rest: str) -> Iterator[str]:
        """why [CLASS]: what contributed most to a class's logit (by default the answer's).

        Takes apart the last FULLY_CONNECTED: each input's product with its weight, zero points taken off, in integers
        and in real units (integer · input scale · weights scale). The logit is their sum and the bias, rescaled.
        """
        record = self.session.record(why.last_layer(self.session.plan).index)
        if rest and not rest.isdecimal():
            raise InputError(f"why CLASS: '{rest}' is no class; they are numbers from 0")
        if record.unknown:
            reason = self.session.plan.why_unknown(record.step.outputs[0])
            raise InputError(f"the output of {record.step} is not known: {reason}")
        sum = why.contributions(record, int(rest) if rest else why.answer(record))
        yield f"class {sum.label}: logit {text.number(sum.code)}, which stands for {text.real(sum.logit)}"
        yield f"{sum.step} sums input · weight over {len(sum.products)} inputs, zero points taken off, and the bias."
        if sum.unit != 1:
            yield f"One unit of the sum is input scale · weights scale = {sum.unit:.6g}."
        rows = [("input", "value", "weight", "product", "real")]
        for i in sum.largest[:CONTRIBUTIONS]:
            factors = (text.number(values[i].item()) for values in (sum.inputs, sum.weights))
            rows.append((f"[{i}]", *factors, *_both(sum.products[i].item(), sum.unit)))  # type: ignore[arg-type]
        others = sum.products[sum.largest[CONTRIBUTIONS:]]
        for name, value in ((f"{len(others)} others", others.sum().item()), ("bias", sum.bias), ("sum", sum.total)):
            rows.append((name, "", "", *_both(value, sum.unit)))
        yield from text.columns(rows, "rrrrr")

    # ---- what if -------------------------------------------------------------------------------------------

    def do_set(self, rest: str) -> Iterator[str]:
        """set TENSOR[i] = V: what if? Later steps are computed again from there; undo, reset, info changes.

        V is a code, or real(0.5) for a real value. A slice sets all its elements (out[0,:,:,3] = -128 silences a
        channel). Constants can be set too: the model is prepared again with them; and variables, resource variables by
        their shared names: what they hold as this inference begins. What is set stays so, whatever is set before it,
        until undo or reset. `compare` shows what became of everything.
        """
        target, equals, value = rest.rpartition("=")
        if not equals:
            raise InputError("set TENSOR[i] = V, for example: set out[0,7] = 100")
        tensor, at = tensor_named(self.session, target.strip())
        real = re.fullmatch(r"real\((.*)\)", value.strip())
        before = self.session.set(tensor, at, _number(real[1] if real else value), real is not None)
        after = self.session.began(tensor) if tensor.is_variable else self.session.values(tensor)
        old, new = elements(tensor, before, at), elements(tensor, after, at)
        told = f"{old.item()} → {new.item()}" if old.size == 1 else f"{int((old != new).sum()):,} values changed"
        yield f"{tensor.index} {text.name_of(tensor)}{shown_index(at)}: {told}"

    def do_undo(self, rest: str) -> Iterator[str]:
        """undo: take back the last set."""
        last = list(info.changes(self.session, ""))[-1]
        self.session.undo()
        yield f"no longer {last}"

    def do_reset(self, rest: str) -> Iterator[str]:
        """reset: take back everything that was set."""
        self.session.reset()
        yield from self.where()

    def do_compare(self, rest: str) -> Iterator[str]:
        """compare [FILE [TENSOR]]: bit for bit against a dump, or against the run before any set.

        FILE is an .npz with tensors by name or index (as a recording has them), or an .npy with one tensor (out,
        unless named).
        """
        if self.session.path:
            raise InputError("compare looks at the main graph; finish leaves the subgraph")
        if not rest:
            before = self.session.unchanged()
            dump = [(tensor, before.final(tensor)) for tensor in self._computed() if before.knows(tensor)]
        else:
            quoted, file, name = re.findall(r'^(?:"([^"]*)"|(\S+))\s*(.*)', rest)[0]
            file = quoted or file
            found = compare.read_dump(expanduser(file), self.session.plan.memory)
            named, known = found.items() if isinstance(found, dict) else [], dumped(self.session.plan)
            named = [(key, array) for key, array in named if key != META]
            dump = [(known[key], array) for key, array in named if key in known]
            yield from (f"{key!r}: the model has no such tensor" for key, _ in named if key not in known)
            if not isinstance(found, dict):
                dump = [(tensor_named(self.session, name or "out")[0], found)]
            if not dump:
                raise InputError(f"{file}: holds no tensor of this model")
        dump.sort(key=lambda each: self._order(each[0]))
        told = [(tensor, self._difference(tensor, array)) for tensor, array in dump]
        yield from text.columns([(str(t.index), text.name_of(t), difference or "equal") for t, difference in told], "r")
        apart = [tensor for tensor, difference in told if difference]
        if not apart:
            yield "equal: " + counted(len(told), "tensor")
            return
        self.differed = True
        writer = self.session.writer(apart[0])
        source = "an input or a constant" if writer is None else f"the output of {writer}"
        yield f"{len(apart)} of {len(told)} tensors differ; the first to be computed is {source}"

    # ---- the session ---------------------------------------------------------------------------------------

    def do_help(self, rest: str) -> Iterator[str]:
        """help [COMMAND]: this list, or all about one command."""
        if rest:
            yield from paragraphs(self._method(rest).__doc__ or "", self.width).splitlines()
            return
        methods: list[Callable[..., object]] = [getattr(self, f"do_{name}") for name in self.commands()]
        room = max(len(_usage(method)) for method in methods) + 2
        for method in methods:
            yield from wrap(f"{_usage(method):{room}}{_summary(method)}", self.width, subsequent_indent=" " * room)
        yield from wrap(HINT, self.width)

    def do_quit(self, rest: str) -> Iterator[str]:
        """quit: leave; so does Ctrl-D."""
        self.done = True
        yield from ()

    # ---- what they need ------------------------------------------------------------------------------------

    def _method(self, word: str) -> Callable[[str], Iterator[str]]:
        names, word = self.commands(), ALIASES.get(word, word)
        found = [word] if word in names else [name for name in names if name.startswith(word)]
        if not found:
            raise InputError(f"'{word}' is no command; {suggested(word, [*names, *ALIASES])}help lists them")
        if len(found) > 1:
            raise InputError(f"'{word}' may be {', '.join(found)}")
        method: Callable[[str], Iterator[str]] = getattr(self, f"do_{found[0]}")
        return method

    def _moved(self, rest: str, move: Callable[[], None], into: bool = False) -> Iterator[str]:
        """Move once, and on as often as asked, to a breakpoint inside a call or to the end."""
        session, hit = self.session, list[int]()
        for done in range(_count(rest) or 1):
            if hit or (done and (session.is_over if move == session.step else session.is_at_start)):
                break
            hit = session.over(move, None if into else len(session.path))
        yield from self._stopped(hit)

    def _stopped(self, hit: list[int]) -> Iterator[str]:
        for number in hit:
            stop = self.session.breakpoints[number]
            became = self._became(stop) if isinstance(stop, Watch) else ""
            yield f"breakpoint {number}: {stop.text}{became}"
        yield from self.where()

    def _became(self, watch: Watch) -> str:
        """What the step that has just run made of the elements: one as it was and is, of several how many changed."""
        before, after = watch.written(self.session.current) or (None, np.empty(0))
        if after.size == 1:
            told = [text.number(x.item()) for x in (before, after) if x is not None]
            return f": {' → '.join(told)}"
        return "" if before is None else f": {int(unlike(before, after).sum()):,} of {after.size:,} changed"

    def _computed(self) -> list[Tensor]:
        """The known tensors of an inference, those of the main graph: its inputs and what the steps write."""
        written = (t for step in self.session.steps for t in step.writes)
        found = {t.index: t for t in (*self.session.plan.inputs, *written) if t.dtype != "resource"}  # no handles
        return [t for t in found.values() if not self.session.plan.gaps or self.session.knows(t)]

    def _order(self, tensor: Tensor) -> int:
        writer = self.session.writer(tensor)
        return START if writer is None else writer.index

    def _difference(self, tensor: Tensor, theirs: Array) -> str:
        """How a tensor differs from a dump's array, nothing if it does not."""
        try:
            told = compare.compared(tensor, self.session.final(tensor), theirs)
        except InputError as error:
            return str(error)
        if told is None:
            return ""
        unit = " ULP" if tensor.dtype == "float32" else ""
        return (
            f"{told.count:,} of {told.size:,} differ, by {text.real(told.largest)}{unit} at most; "
            f"first {shown_index(told.first)}: {text.number(told.mine)} here, {text.number(told.theirs)} there"
        )

    def _maps(self, tensor: Tensor, at: Index | None) -> tuple[Array, list[str]]:
        """The maps to show, and their names: [channel] and [a:b] choose channels, longer indices elements."""
        array = self.session.values(tensor)
        channels = at is not None and len(at) == 1
        maps = pictures.maps(array if channels else elements(tensor, array, at))
        names = np.arange(len(maps))
        if channels:
            maps, names = (elements(tensor, each, at) for each in (maps, names))
            maps = maps.reshape(-1, *maps.shape[-2:])
        return maps, [str(name) for name in names.ravel()] if names.size > 1 or channels else [""]

    def _span(self, tensor: Tensor, array: Array) -> str:
        """From which to which code and real value an output goes."""
        try:
            found = stats(tensor, array)
        except InputError:
            return "no values"
        low, high = map(text.reader(tensor), (found.min, found.max))
        return f"{text.number(found.min)} … {text.number(found.max)}" + (f", real {low} … {high}" if low else "")

    def _largest(self, tensor: Tensor) -> str:
        """Where an output that is a row of scores is largest."""
        if self.session.plan.gaps and not self.session.knows(tensor):
            return " is not known"
        row = self.session.values(tensor).ravel()
        if row.size < 2 or row.size != tensor.shape[-1]:
            return ""
        label = int(row.argmax())
        real = text.reader(tensor)(row[label].item())
        return f" is largest at {label}: {text.number(row[label].item())}" + (f" = {real}" if real else "")


def split(line: str) -> list[str]:
    """The commands of a line, between semicolons that are not quoted."""
    return [part.strip() for part in re.findall(r'(?:[^;"]|"[^"]*"?)+', line) if part.strip()]


def _usage(method: Callable[..., object]) -> str:
    """How to write a command: what its help begins with."""
    return (method.__doc__ or "").partition(":")[0]


def _summary(method: Callable[..., object]) -> str:
    return (method.__doc__ or "").partition(":")[2].strip().splitlines()[0]


def _count(words: str) -> int:
    if words and not words.isdecimal():
        raise InputError(f"'{words}' is no number of steps")
    return int(words or 1)


def _number(words: str) -> int | float:
    try:
        value = float(words)
    except ValueError:
        raise InputError(f"'{words.strip()}' is no number") from None
    return int(words) if re.fullmatch(r"\s*[-+]?\d{1,19}\s*", words) else value


def _two(words: str, usage: str) -> tuple[str, str]:
    """TENSOR[slice] and the word behind it."""
    match = re.fullmatch(r'((?:"[^"]*"|[^\s\["]+)(?:\s*\[[^\]]*\])?)\s+(\S.*)', words)
    if match is None:
        raise InputError(usage)
    return match[1], match[2].strip('"')


def _fed(step: Step) -> list[Tensor]:
    """A step's inputs that are not constants."""
    return [tensor for tensor in step.inputs if tensor is not None and tensor.data is None]


def _both(value: float, unit: float) -> tuple[str, str]:
    """A sum's integer and what it stands for."""
    return text.number(value), text.real(value * unit)


def _paths(word: str) -> list[str]:
    folder, _, start = word.rpartition("/")
    base = Path(folder or ("/" if word.startswith("/") else "."))
    found = sorted(base.glob("*")) if base.is_dir() else []
    prefix = word[: len(word) - len(start)]
    return [prefix + path.name + "/" * path.is_dir() for path in found]
