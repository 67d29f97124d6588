"""The commands of the command line: one file each, registered by existing.

A file's docstring begins with the sentence that `--help` shows; `arguments(parser)` adds what the command takes, and
`command(args)` runs it and returns the exit status. Commands ask the package and print what it says; they compute
nothing. Heavy libraries are imported where they are used, so that `refengine --help` stays quick.
"""
