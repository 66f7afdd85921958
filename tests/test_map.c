/* tests/test_map.c - placement maps: written and read back, and every way in which they are wrong.
 */
#include "workloads/map.h"

#include <unistd.h>

#include "tests/test.h"
#include "workloads/npy_write.h"

/* Plain constants, so that products are of the type that indexes have. */
#define L ((size_t)2)
#define E ((size_t)5)
#define P ((size_t)6)
#define D ((size_t)3)
#define CELLS (L * P)

#define PATH "test_map.tmp"

static int32_t layer_ids[L] = {3, 7};
static int32_t rows[CELLS] = {4, 3, 2, 1, 0, 4, 0, 0, 1, 2, 3, 4};

static mb_map sample(void) {
  return (mb_map){.n_maps = 1,
                  .n_layers = L,
                  .n_slots = P,
                  .n_gpus = D,
                  .n_experts = E,
                  .layer_ids = layer_ids,
                  .physical_to_logical_map = rows};
}

static void write_bytes(const char *bytes, size_t n) {
  FILE *file = fopen(PATH, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(fwrite(bytes, 1, n, file), n);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static void write_sample(const mb_map_format *format) {
  const mb_map map = sample();
  FILE *file = fopen(PATH, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  format->write(file, &map);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static void check_refused(const char *text, mb_status status, const char *message) {
  mb_map map = {.n_maps = 77};

  write_bytes(text, strlen(text));
  CHECK_FAILS(mb_map_read(PATH, &map), status, message);
  CHECK_FAILS(mb_map_read(PATH, &map), status, PATH);
  CU_ASSERT_EQUAL(map.n_maps, 77);
}

/* What every format gives back: the rows of layers 3 and 7, for a cluster that they fit. */
static void round_trips(void) {
  const mb_shape shape = {L, E, P, 1, 1, D};

  for (const mb_map_format *const *format = mb_map_formats(); *format != NULL; format++) {
    int32_t fitted[CELLS] = {0};
    mb_map map = {0};
    write_sample(*format);
    mb_input input;
    CHECK_OK(mb_input_open(PATH, &input));
    CU_ASSERT_PTR_EQUAL(mb_map_format_of(&input), *format);
    mb_input_close(&input);
    CHECK_OK(mb_map_read(PATH, &map));
    CU_ASSERT(map.n_maps == 1 && map.n_slots == P);
    CU_ASSERT(map.layer_ids == NULL || map.layer_ids[map.n_layers - 1] == 7);
    CHECK_OK(mb_map_fit(&map, PATH, &shape, layer_ids, fitted));
    CU_ASSERT(memcmp(fitted, rows, sizeof rows) == 0);
    mb_map_fini(&map);
    CU_ASSERT_PTR_EQUAL(mb_map_format_find((*format)->name), *format);
  }
  CU_ASSERT_PTR_NULL(mb_map_format_find("vllm"));
}

/* The texts that engines get, to the byte. */
static void exact_texts(void) {
  static const char trtllm[] = "num_slots: 6\n"
                               "initial_global_assignments:\n"
                               "  3: [4, 3, 2, 1, 0, 4]\n"
                               "  7: [0, 0, 1, 2, 3, 4]\n"
                               "layer_updates_per_iter: 0\n";
  static const char sglang[] = "{\"physical_to_logical_map\": [\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [4, 3, 2, 1, 0, 4],\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [0, 1, 2, 3, 4, 0],\n"
                               "  [0, 0, 1, 2, 3, 4]\n"
                               "]}\n";
  static const char ascend[] = "{\"moe_layer_count\": 2, \"layer_list\": [\n"
                               "  {\"layer_id\": 0, \"device_count\": 3, \"device_list\": [\n"
                               "    {\"device_id\": 0, \"device_expert\": [4, 3]},\n"
                               "    {\"device_id\": 1, \"device_expert\": [2, 1]},\n"
                               "    {\"device_id\": 2, \"device_expert\": [0, 4]}]},\n"
                               "  {\"layer_id\": 1, \"device_count\": 3, \"device_list\": [\n"
                               "    {\"device_id\": 0, \"device_expert\": [0, 0]},\n"
                               "    {\"device_id\": 1, \"device_expert\": [1, 2]},\n"
                               "    {\"device_id\": 2, \"device_expert\": [3, 4]}]}\n"
                               "]}\n";
  static const struct {
    const char *name, *text;
  } cases[] = {{"trtllm", trtllm}, {"sglang", sglang}, {"vllm-ascend", ascend}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *text = NULL;
    size_t length = 0;
    mb_input input;
    write_sample(mb_map_format_find(cases[i].name));
    CHECK_OK(mb_input_open(PATH, &input));
    CHECK_OK(mb_input_text(&input, 1 << 16, &text, &length));
    CU_ASSERT_STRING_EQUAL(text, cases[i].text);
    free(text);
    mb_input_close(&input);
  }
}

/* As PyYAML writes it: keys sorted, block lists, and an alias for a list that two layers share. */
static void as_tools_write(void) {
  static const char yaml[] = "# made by a script\n"
                             "ep_size: 2\n"
                             "initial_global_assignments:\n"
                             "  10: &id001\n"
                             "  - 1\n"
                             "  - 0\n"
                             "  3: *id001\n"
                             "num_slots: 2\n";
  mb_map map = {0};

  write_bytes(yaml, strlen(yaml));
  CHECK_OK(mb_map_read(PATH, &map));
  CU_ASSERT(map.n_layers == 2 && map.n_slots == 2 && map.n_gpus == 2);
  CU_ASSERT(map.layer_ids[0] == 3 && map.layer_ids[1] == 10);
  CU_ASSERT(map.physical_to_logical_map[0] == 1 && map.physical_to_logical_map[3] == 0);
  mb_map_fini(&map);
}

static void wrong_trtllm(void) {
  check_refused("initial_global_assignments: {0: [0, 1]}", MB_ERR_FORMAT, "num_slots is missing");
  check_refused("num_slots: 0\ninitial_global_assignments: {0: []}", MB_ERR_FORMAT,
                ":1: num_slots is '0'; should be a whole number from 1");
  check_refused("num_slots: 2\ninitial_global_assignments: [0, 1]", MB_ERR_FORMAT, "no mapping");
  check_refused("num_slots: 2\ninitial_global_assignments: {}", MB_ERR_FORMAT, "0 layers");
  check_refused("num_slots: 2\ninitial_global_assignments: {a: [0, 1]}", MB_ERR_FORMAT,
                ":2: initial_global_assignments has the key 'a'");
  check_refused("num_slots: 2\ninitial_global_assignments:\n  0: [0, 1]\n  00: [0, 1]",
                MB_ERR_FORMAT, "layer 0 is there twice");
  check_refused("num_slots: 3\ninitial_global_assignments:\n  4: [0, 1]", MB_ERR_FORMAT,
                ":3: layer 4 has 2 slots, but num_slots is 3");
  check_refused("num_slots: 2\ninitial_global_assignments:\n  4: [0, -1]", MB_ERR_FORMAT,
                ":3: layer 4, slot 1 is '-1'; should be an expert");
  check_refused("num_slots: 2\ninitial_global_assignments:\n  4: [0, \"1\"]", MB_ERR_FORMAT,
                "slot 1 is '1'");
  check_refused("num_slots: 2\ninitial_global_assignments:\n  4: [0, [1]]", MB_ERR_FORMAT,
                "slot 1 is a list");
  check_refused("num_slots: 2\ninitial_global_assignments:\n  4: 7", MB_ERR_FORMAT,
                "layer 4 is '7'; should be a list of 2 experts");
  check_refused("num_slots: 2\nnum_slots: 2\ninitial_global_assignments: {0: [0, 1]}",
                MB_ERR_FORMAT, ":2: the key num_slots is here a second time");
  check_refused("num_slot: 2\ninitial_global_assignments: {0: [0, 1]}", MB_ERR_FORMAT,
                "the key 'num_slot'");
  check_refused("num_slots: 2\nep_size: 4\ninitial_global_assignments: {0: [0, 1]}", MB_ERR_FORMAT,
                "ep_size 4; should divide it");
  check_refused("num_slots: 2\ninitial_global_assignments: {0: [0, 1]", MB_ERR_FORMAT, "no YAML");
  check_refused("# initial_global_assignments\n", MB_ERR_FORMAT, "should be a mapping");
}

#define MAP "physical_to_logical_map"

static void wrong_sglang(void) {
  check_refused("{\"" MAP "\": [[0, 1], [0]]}", MB_ERR_FORMAT, "layer 1 has 1 slots");
  check_refused("{\"" MAP "\": [[0, 1], 5]}", MB_ERR_FORMAT, "layer 1 has 0 slots and is no list");
  check_refused("{\"" MAP "\": [[0, 1.5]]}", MB_ERR_FORMAT, "layer 0, slot 1 is 1.5");
  check_refused("{\"" MAP "\": [[0, -1]]}", MB_ERR_FORMAT, "layer 0, slot 1 is -1");
  check_refused("{\"" MAP "\": [[0, 1048576]]}", MB_ERR_FORMAT, "slot 1 is 1048576");
  check_refused("{\"" MAP "\": [[0, null]]}", MB_ERR_FORMAT, "slot 1 is null");
  check_refused("{\"" MAP "\": []}", MB_ERR_FORMAT, "is empty");
  check_refused("{\"" MAP "\": [[]]}", MB_ERR_FORMAT, "1 layers of 0 slots");
  check_refused("{\"" MAP "\": {}}", MB_ERR_FORMAT, "is an object; should be a list");
  check_refused("{\"" MAP "\": [[0]], \"x\": 1}", MB_ERR_FORMAT, "has the key 'x'");
  check_refused("{\"" MAP "\": [[0]], \"" MAP "\": [[0]]}", MB_ERR_FORMAT, "duplicate");
  check_refused("{\"" MAP "\": [[0]", MB_ERR_FORMAT, "no JSON");
}

static void wrong_ascend(void) {
#define DEVICE(id, experts) "{\"device_id\": " id ", \"device_expert\": " experts "}"
#define LAYER(id, count, devices) \
  "{\"layer_id\": " id ", \"device_count\": " count ", \"device_list\": [" devices "]}"
#define ROOT(count, layers) "{\"moe_layer_count\": " count ", \"layer_list\": [" layers "]}"
  check_refused(ROOT("2", LAYER("0", "1", DEVICE("0", "[0]"))), MB_ERR_FORMAT,
                "moe_layer_count is 2, but layer_list has 1");
  check_refused(ROOT("0", ""), MB_ERR_FORMAT, "layer_list is empty");
  check_refused(ROOT("1", LAYER("-3", "1", DEVICE("0", "[0]"))), MB_ERR_FORMAT,
                "layer 0: layer_id is -3");
  check_refused(
      ROOT("2", LAYER("3", "1", DEVICE("0", "[0]")) "," LAYER("5", "1", DEVICE("0", "[0]"))),
      MB_ERR_FORMAT, "layer 1: layer_id is 5; should be 4");
  check_refused(ROOT("1", LAYER("0", "2", DEVICE("0", "[0]"))), MB_ERR_FORMAT,
                "device_count is 2, and device_list has 1");
  check_refused(ROOT("1", LAYER("0", "2", DEVICE("0", "[0]") "," DEVICE("2", "[0]"))),
                MB_ERR_FORMAT, "layer 0, device 1: device_id is 2; should be 1");
  check_refused(ROOT("1", LAYER("0", "2", DEVICE("0", "[0]") "," DEVICE("1", "[0, 1]"))),
                MB_ERR_FORMAT, "layer 0, device 1: device_expert has 2 slots");
  check_refused(ROOT("1", LAYER("0", "2", DEVICE("0", "[0]") "," DEVICE("1", "[-3]"))),
                MB_ERR_FORMAT, "layer 0, device 1: device_expert, slot 1 is -3");
  check_refused(ROOT("1", LAYER("0", "1", "7")), MB_ERR_FORMAT, "device_expert is missing");
  check_refused(ROOT("1", "7"), MB_ERR_FORMAT, "device_list is missing");
}

static void write_npy(mb_dtype dtype, size_t rank, const uint64_t *dims, size_t n,
                      const void *values) {
  FILE *file = fopen(PATH, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  mb_npy_write_header(file, dtype, rank, dims);
  mb_npy_write_values(file, dtype, n, values);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static void npy_sequences(void) {
  const uint64_t dims[] = {2, L, P};
  int64_t wide[2 * CELLS];
  mb_map map = {0};

  for (size_t i = 0; i < 2 * CELLS; i++) {
    wide[i] = rows[i % CELLS] + (i >= CELLS ? 1 : 0);
  }
  write_npy(MB_DTYPE_I64, 3, dims, 2 * CELLS, wide);
  CHECK_OK(mb_map_read(PATH, &map));
  CU_ASSERT(map.n_maps == 2 && map.n_layers == L && map.n_slots == P && map.layer_ids == NULL);
  CU_ASSERT(map.physical_to_logical_map[0] == 4 && map.physical_to_logical_map[CELLS] == 5);
  mb_map_fini(&map);

  wide[CELLS + P + 2] = -1;
  write_npy(MB_DTYPE_I64, 3, dims, 2 * CELLS, wide);
  CHECK_FAILS(mb_map_read(PATH, &map), MB_ERR_FORMAT, "placement 1, row 1, slot 2 is -1");
  write_npy(MB_DTYPE_I64, 1, dims, 2, wide);
  CHECK_FAILS(mb_map_read(PATH, &map), MB_ERR_FORMAT, "has 1 dimensions; should be");
  write_npy(MB_DTYPE_I64, 3, (const uint64_t[]){0, L, P}, 0, wide);
  CHECK_FAILS(mb_map_read(PATH, &map), MB_ERR_FORMAT, "0 placements");
  write_npy(MB_DTYPE_F64, 2, (const uint64_t[]){1, 2}, 2, (const double[]){0.0, 0.5});
  CHECK_FAILS(mb_map_read(PATH, &map), MB_ERR_FORMAT, "0.5");
}

/* Against a cluster and the layers of a model. */
static void misfits(void) {
  mb_shape shape = {L, E, P, 1, 1, D};
  int32_t fitted[CELLS];
  int32_t mine[CELLS];
  mb_map map = sample();

  memcpy(mine, rows, sizeof mine);
  map.physical_to_logical_map = mine;
  CHECK_OK(mb_map_fit(&map, "m", &shape, layer_ids, fitted));
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, (const int32_t[]){3, 4}, fitted), MB_ERR_SHAPE,
              "m: has no layer 4, of which there are loads; it has 2 layers, from 3 to 7");
  shape.n_slots = 9;
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, layer_ids, fitted), MB_ERR_SHAPE,
              "m: has 6 slots, but the cluster has 9");
  shape.n_slots = P;
  shape.n_gpus = 2;
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, layer_ids, fitted), MB_ERR_SHAPE,
              "m: is for 3 GPUs, but the cluster has 2");
  shape.n_gpus = D;
  mine[P + 1] = 5;
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, layer_ids, fitted), MB_ERR_RANGE,
              "m: layer 7: slot 1 holds expert 5, but experts are 0 to 4");
  mine[P + 1] = 0;
  mine[2] = 4;
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, layer_ids, fitted), MB_ERR_RANGE,
              "m: layer 3: expert 2 is in none of the 6 slots");
  mine[2] = 2;
  map.layer_ids = NULL;
  map.n_layers = 1;
  CHECK_FAILS(mb_map_fit(&map, "m", &shape, layer_ids, fitted), MB_ERR_SHAPE,
              "m: has 1 layers, but the loads are of 2");
}

static void not_maps(void) {
  mb_map map = {0};

  check_refused("", MB_ERR_FORMAT, "is no placement map");
  check_refused("{\"a\": 1}", MB_ERR_FORMAT, "is no placement map");
  check_refused("\x93NUMPY", MB_ERR_FORMAT, "");
  CHECK_FAILS(mb_map_read("nowhere.json", &map), MB_ERR_IO, "nowhere.json");
  CHECK_FAILS(mb_map_read(".", &map), MB_ERR_FORMAT, "is no placement map");
}

/* Each byte of each format changed, and each length: read, or refused in one line; never more. */
static void mutations(void) {
  size_t n_read = 0;
  size_t n_refused = 0;

  for (const mb_map_format *const *format = mb_map_formats(); *format != NULL; format++) {
    char *text = NULL;
    char bytes[2048];
    mb_input input;
    write_sample(*format);
    CHECK_OK(mb_input_open(PATH, &input));
    size_t length = (size_t)input.size;
    CU_ASSERT_FATAL(length <= sizeof bytes);
    CHECK_OK(mb_input_read(&input, "all", 0, length, bytes));
    mb_input_close(&input);
    free(text);
    for (size_t i = 0; i < 4 * length; i++) {
      static const char others[] = "\"]9";
      char before = bytes[i / 4];
      mb_map map = {0};
      if (i % 4 < 3) {
        bytes[i / 4] = others[i % 4];
      }
      write_bytes(bytes, i % 4 < 3 ? length : i / 4);
      bytes[i / 4] = before;
      if (mb_map_read(PATH, &map) == MB_OK) {
        n_read++;
      } else {
        CU_ASSERT(strncmp(mb_error_message(), PATH, strlen(PATH)) == 0);
        n_refused++;
      }
      mb_map_fini(&map);
    }
  }
  CU_ASSERT(n_read > 0 && n_refused > n_read);
  (void)unlink(PATH);
}

int main(void) {
  CU_TestInfo tests[] = {{"every format gives back what was written", round_trips},
                         {"the texts, to the byte", exact_texts},
                         {"as PyYAML writes it", as_tools_write},
                         {"wrong TensorRT-LLM maps", wrong_trtllm},
                         {"wrong SGLang maps", wrong_sglang},
                         {"wrong vLLM-Ascend maps", wrong_ascend},
                         {"arrays, and sequences of placements", npy_sequences},
                         {"maps that do not fit", misfits},
                         {"files that are no maps", not_maps},
                         {"each byte changed, each length", mutations},
                         CU_TEST_INFO_NULL};

  return run_suite("map", tests);
}
