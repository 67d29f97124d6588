/* UART 1, for the host: answers the requests of protocol/device.fbs. Nothing is remembered from one request to the next but
 * the bytes in the inputs and what the model remembers, and a run checks both: so a request may be lost, repeated or come
 * after a reset. */
#include <stddef.h>
#include <string.h>

#include "app.h"
#include "board.h"
#include "engine.h"
#include "flat.h"
#include "frame.h"
#include "screen.h"

#define IDENTIFIER "RFD1"

enum { DATA_BYTES = 512, MESSAGE_BYTES = DATA_BYTES + 512 };
enum { CAPACITY = FRAME_HEAD + MESSAGE_BYTES + FRAME_TAIL };

/* Numbers of device.fbs: members of union Body, and fields in their order. */
enum body {
  GET_INFO = 1, GET_TENSOR, WRITE, RUN,
  INFO, TENSOR, WRITTEN, STARTED, STEP_DONE, CHUNK, FINISHED, REFUSED, RESTARTED
};
enum role { ROLE_STEP, ROLE_INPUT, ROLE_OUTPUT, ROLE_STATE };
enum reason { UNKNOWN_REQUEST, OUT_OF_RANGE, INPUT_DIFFERS, STATE_DIFFERS };
enum { VERSION = 2 };
enum { MESSAGE_SEQUENCE, MESSAGE_BODY_TYPE, MESSAGE_BODY, MESSAGE_FIELDS };

_Alignas(4) static uint8_t received[CAPACITY], sent[CAPACITY];
static struct frame frame;

/* The request being answered. */
static struct flat_reader request;
static uint32_t sequence, body;
static uint32_t since; /* when the step that runs now began */

/* ---- replies ---- */

static struct flat_writer writer;

/* Begin a reply with a body of this many fields; the body's position. */
static uint32_t reply(enum body type, uint32_t fields) {
  writer = flat_begin(sent + FRAME_HEAD, MESSAGE_BYTES, IDENTIFIER);
  const uint32_t message = flat_table(&writer, MESSAGE_FIELDS);
  flat_set(&writer, message, MESSAGE_SEQUENCE, sequence);
  flat_set(&writer, message, MESSAGE_BODY_TYPE, type);
  return flat_put_table(&writer, message, MESSAGE_BODY, fields);
}

static void put(uint8_t byte) { board_put(LINK, byte); }

static void send(void) {
  if (!writer.overflow) {
    frame_send(sent, writer.size, put);
  }
}

/* A reply whose fields are all numbers. */
static void send_numbers(enum body type, const uint32_t *numbers, uint32_t count) {
  const uint32_t table = reply(type, count);
  for (uint32_t i = 0; i < count; ++i) {
    flat_set(&writer, table, i, numbers[i]);
  }
  send();
}

static void refuse(enum reason reason) {
  const uint32_t number = reason;
  send_numbers(REFUSED, &number, 1);
}

/* A name as it fits: tensors of some converters have names as long as a message. */
static void put_name(uint32_t table, uint32_t field, const char *name) {
  char shortened[128] = {0};
  strncpy(shortened, name, sizeof shortened - 1);
  flat_put_string(&writer, table, field, shortened);
}

/* ---- requests ---- */

static void get_info(void) {
  const struct engine *model = engine();
  const char *const texts[] = {model->name, model->sha256, model->numerics, BOARD_NAME};
  const uint32_t numbers[] = {BOARD_TICKS_PER_SECOND, model->arena_bytes,  DATA_BYTES, model->step_count,
                              model->input_count,     model->output_count, VERSION,    model->state_count};
  const uint32_t table = reply(INFO, 12);
  for (uint32_t i = 0; i < 8; ++i) {
    flat_set(&writer, table, 4 + i, numbers[i]);
  }
  for (uint32_t i = 0; i < 4; ++i) {
    put_name(table, i, texts[i]);
  }
  send();
}

static void get_tensor(void) {
  const struct engine *model = engine();
  const uint8_t role = flat_u8(&request, body, 0);
  const uint32_t place = flat_u32(&request, body, 1);
  const uint32_t counts[] = {model->step_count, model->input_count, model->output_count, model->state_count};
  if (role > ROLE_STATE || place >= counts[role]) {
    refuse(OUT_OF_RANGE);
    return;
  }
  const struct step *step = role == ROLE_STEP ? &model->steps[place] : NULL;
  const struct tensor *const others[] = {NULL, model->inputs, model->outputs, model->states};
  const struct tensor *tensor = step ? &step->output : &others[role][place];
  const uint32_t table = reply(TENSOR, 10);
  flat_set(&writer, table, 1, (uint32_t)tensor->index);
  flat_set(&writer, table, 2, tensor->dtype);
  flat_set(&writer, table, 4, tensor->bytes);
  flat_set_float(&writer, table, 5, tensor->scale);
  flat_set(&writer, table, 6, (uint32_t)tensor->zero_point);
  flat_set(&writer, table, 7, step ? (uint32_t)step->index : UINT32_MAX);
  flat_set(&writer, table, 9, step ? step->crc32 : 0);
  put_name(table, 0, tensor->name);
  flat_put_vector(&writer, table, 3, tensor->shape, (uint32_t)tensor->rank, 4);
  put_name(table, 8, step ? step->operator_name : "");
  send();
}

static void write_input(void) {
  const uint32_t place = flat_u32(&request, body, 0), offset = flat_u32(&request, body, 1);
  uint32_t count;
  const uint8_t *data = flat_vector(&request, body, 2, 1, &count);
  if (place >= engine()->input_count || offset > engine()->inputs[place].bytes ||
      count > engine()->inputs[place].bytes - offset) {
    refuse(OUT_OF_RANGE);
    return;
  }
  memcpy(engine_bytes(&engine()->inputs[place]) + offset, data, count);
  send_numbers(WRITTEN, (const uint32_t[]){place, offset, count}, 3);
}

/* The live tap: of the tensor of this place, which is complete now, send what the request asks for. */
static void send_chunks(uint32_t place, const struct tensor *tensor) {
  uint32_t ranges;
  const uint8_t *range = flat_vector(&request, body, 1, 12, &ranges);
  for (; ranges--; range += 12) {
    const uint32_t first = flat_load(range + 4), wanted = flat_load(range + 8);
    if (flat_load(range) != place || first > tensor->bytes) {
      continue;
    }
    const uint32_t end = wanted < tensor->bytes - first ? first + wanted : tensor->bytes;
    for (uint32_t offset = first; offset < end; offset += DATA_BYTES) {
      const uint32_t count = end - offset < DATA_BYTES ? end - offset : DATA_BYTES;
      const uint32_t table = reply(CHUNK, 3);
      flat_set(&writer, table, 0, place);
      flat_set(&writer, table, 1, offset);
      flat_put_vector(&writer, table, 2, engine_bytes(tensor) + offset, count, 1);
      send();
    }
  }
}

static void send_tensor(uint32_t place, const struct tensor *tensor, uint32_t ticks) {
  const uint32_t crc32 = model_crc32(engine_bytes(tensor), tensor->bytes);
  send_numbers(STEP_DONE, (const uint32_t[]){place, ticks, crc32}, 3);
  send_chunks(place, tensor);
}

static void step_done(int32_t place) {
  if ((uint32_t)place >= engine()->step_count) {
    return; /* a subgraph's: part of the step that runs it */
  }
  const uint32_t ticks = board_ticks() - since;
  send_tensor((uint32_t)place, &engine()->steps[place].output, ticks);
  since = board_ticks();
}

/* What lives on, the first of it as this place. */
static void send_states(uint32_t first) {
  for (uint32_t i = 0; i < engine()->state_count; ++i) {
    send_tensor(first + i, &engine()->states[i], 0);
  }
}

static void run(void) {
  const struct engine *model = engine();
  uint32_t count;
  const uint8_t *crcs = flat_vector(&request, body, 0, 4, &count);
  int same = count == model->input_count;
  for (uint32_t i = 0; same && i < count; ++i) {
    same = flat_load(crcs + 4 * i) == model_crc32(engine_bytes(&model->inputs[i]), model->inputs[i].bytes);
  }
  if (!same) {
    refuse(INPUT_DIFFERS);
    return;
  }
  const uint32_t history = flat_u32(&request, body, 2);
  if (!engine_follows(history)) {
    refuse(STATE_DIFFERS);
    return;
  }
  uint32_t then = history;
  for (uint32_t i = 0; i < count; ++i) {
    then = model_crc32((const uint32_t[]){then, flat_load(crcs + 4 * i)}, 8);
  }
  send_numbers(STARTED, NULL, 0);
  send_states(model->step_count);
  screen_input();
  since = board_ticks();
  engine_run(then | 1, step_done);
  send_states(model->step_count + model->state_count);
  screen_answer();
  send_numbers(FINISHED, &model->step_count, 1);
}

/* ---- the line ---- */

void link_start(void) {
  frame = (struct frame){.bytes = received, .capacity = CAPACITY};
  sequence = 0;
  send_numbers(RESTARTED, NULL, 0);
}

void link_receive(uint8_t byte) {
  const uint32_t payload = frame_receive(&frame, byte);
  if (payload == 0) {
    return;
  }
  request = (struct flat_reader){received + FRAME_HEAD, payload};
  const uint32_t message = flat_root(&request, IDENTIFIER);
  sequence = flat_u32(&request, message, MESSAGE_SEQUENCE);
  body = flat_child(&request, message, MESSAGE_BODY);
  switch (flat_u8(&request, message, MESSAGE_BODY_TYPE)) {
    case GET_INFO:
      get_info();
      break;
    case GET_TENSOR:
      get_tensor();
      break;
    case WRITE:
      write_input();
      break;
    case RUN:
      run();
      break;
    default:
      refuse(UNKNOWN_REQUEST);
  }
}
