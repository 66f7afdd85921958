/* tests/test_import_json.c - the importers adrs, vllm and tokens: what they take, and what they
 * refuse. Files of the real writers are in import_json_files.sh. */
#include <unistd.h>

#include "tests/import_text.h"

enum { LOADS_MAX = 256 };

static char folder[] = "/tmp/moebal-test-import-json-XXXXXX";
static char path[64];

/* The trace that an import has made. */
static struct {
  size_t n_steps, n_layers, n_experts;
  int32_t layer_ids[8];
  int32_t top_k;
  char counts[32], model[64];
  int64_t steps_per_record;
  uint32_t load[LOADS_MAX];
} trace;

static void read_trace(void) {
  mb_trace *opened = NULL;

  CHECK_OK(mb_trace_open(path, &opened));
  CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
  const mb_trace_info *info = mb_trace_get_info(opened);
  CU_ASSERT_FATAL(info->n_steps * info->n_layers * info->n_experts <= LOADS_MAX);
  trace.n_steps = info->n_steps;
  trace.n_layers = info->n_layers;
  trace.n_experts = info->n_experts;
  trace.top_k = info->top_k;
  trace.steps_per_record = info->steps_per_record;
  memcpy(trace.layer_ids, info->layer_ids, info->n_layers * sizeof *info->layer_ids);
  (void)snprintf(trace.counts, sizeof trace.counts, "%s", info->counts);
  (void)snprintf(trace.model, sizeof trace.model, "%s", info->model);
  CHECK_OK(mb_trace_read(opened, 0, info->n_steps, trace.load));
  mb_trace_destroy(opened);
}

static void check_loads(size_t n_steps, size_t n_layers, size_t n_experts, const uint32_t *load) {
  read_trace();
  CU_ASSERT_FATAL(trace.n_steps == n_steps && trace.n_layers == n_layers &&
                  trace.n_experts == n_experts);
  CU_ASSERT_EQUAL(memcmp(trace.load, load, n_steps * n_layers * n_experts * sizeof *load), 0);
}

typedef struct refusal {
  const char *text, *message;
} refusal;

static void check_refusals(const char *format, const mb_import_options *options, size_t n,
                           const refusal *cases) {
  for (size_t i = 0; i < n; i++) {
    mb_status status = import_text(format, cases[i].text, options, NULL);
    CU_ASSERT_NOT_EQUAL(status, MB_OK);
    if (strstr(mb_error_message(), cases[i].message) == NULL) {
      CU_FAIL("message");
      (void)printf("\n    \"%s\" gives \"%s\", and should \"%s\"\n", cases[i].text,
                   mb_error_message(), cases[i].message);
    }
  }
}
#define CHECK_REFUSALS(format, options, cases) \
  check_refusals((format), (options), sizeof(cases) / sizeof *(cases), (cases))

static int never(const char *text, size_t n) {
  (void)text;
  (void)n;
  return 0;
}

/* --- adrs */

static const mb_import_options plain = {.top_k = 2, .phase = "decode", .created_by = "test"};

static const char adrs[] =
    "{\"load_history\": [{\"logical_expert_load\": [[1, 2, 3], [4, 5.0, 6]],"
    " \"other\": [null]}, {\"step\": 5, \"logical_expert_load\": [[7, 8, 9], "
    "[4294967295, 1e1, 0]]}], \"more\": {\"load_history\": 7}}";

static void test_adrs(void) {
  static const uint32_t load[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, UINT32_MAX, 10, 0};

  CHECK_OK(import_text("adrs", adrs, &plain, path));
  check_loads(2, 2, 3, load);
  check_truncated("adrs", adrs, &plain, never);
  check_damaged("adrs", adrs, &plain);
}

static void test_adrs_refusals(void) {
  static const refusal cases[] = {
      {"", "input.json: line 1: the file is empty"},
      {"[]", "is an array, and should be an object"},
      {"{}", "has no load_history"},
      {"{\"load_history\": null}", "has no load_history"},
      {"{\"load_history\": {}}", "line 1, load_history: is an object, and should be an array"},
      {"{\"load_history\": []}", "is empty"},
      {"{\"load_history\": [{}]}", "line 1, load_history[0]: has no logical_expert_load"},
      {"{\"load_history\": [{\"logical_expert_load\": []}]}", "is an empty array"},
      {"{\"load_history\": [{\"logical_expert_load\": [1, 2]}]}",
       "load_history[0].logical_expert_load[0]: is 1, and should be an array"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, -2]]}]}",
       "load_history[0].logical_expert_load[0][1]: is -2, and should be the load of an expert"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 4294967296]]}]}", "is 4294967296"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 0.5]]}]}", "is 0.5"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, NaN]]}]}",
       "load_history[0].logical_expert_load[0][1]: NaN is no number"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 2], [3]]}]}",
       "logical_expert_load[1]: has 1 numbers, and should have 2"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 2]]},\n"
       "{\"logical_expert_load\": [[1, 2], [3, 4]]}]}",
       "line 2, load_history[1].logical_expert_load: has 2 layers of 2 experts, and should have 1"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 2]], \"logical_expert_load\": [[1, "
       "2]]}]}",
       "comes twice"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 2]]}]} {}", "something follows"},
      {"{\"load_history\": [{\"logical_expert_load\": [[1, 2]]}]} x", "is no JSON"},
  };

  CHECK_REFUSALS("adrs", &plain, cases);
}

/* --- vllm */

/* Slots 0 and 3 of layer 0 hold expert 0, and in the second snapshot layer 1 has been moved. */
#define HEADER                                                                                    \
  "\"model_name\": \"toy\", \"world_size\": 2, \"num_moe_layers\": 2, \"num_physical_experts\": " \
  "4, \"num_logical_experts\": 3, \"num_redundant_experts\": 1, \"window_size\": 10"
#define FIRST                                                                                   \
  "\"step\": 100, \"window_expert_load\": [[10, 20, 30, 40], [1, 2, 3, 4]], "                   \
  "\"latest_expert_load\": [[1, 2, 3, 4], [5, 6, 7, 8]], \"physical_to_logical_map\": [[0, 1, " \
  "2, 0], [2, 1, 0, 1]]"
#define SECOND                                                                            \
  "\"step\": 200, \"window_expert_load\": [[1, 1, 1, 1], [2, 2, 2, 2]], "                 \
  "\"latest_expert_load\": [[1.0, 0, 0, 9], [0, 0, 5, 0]], \"physical_to_logical_map\": " \
  "[[0, 1, 2, 0], [0, 1, 2, -1]]"
#define THIRD "\"step\": 400, \"latest_expert_load\": [[0, 1, 0, 0], [1, 0, 0, 0]]"

static const char snapshots[] =
    "{\"snapshots\": [{" FIRST "}, {" SECOND "}, {" THIRD "}], " HEADER "}";
static const uint32_t latest[] = {5, 2, 3, 7, 14, 5, 10, 0, 0, 0, 0, 5, 0, 1, 0, 1, 0, 0};

static void test_vllm_json(void) {
  CHECK_OK(import_text("vllm", snapshots, &plain, path));
  check_loads(3, 2, 3, latest);
  CU_ASSERT_STRING_EQUAL(trace.counts, "from_physical");
  CU_ASSERT_STRING_EQUAL(trace.model, "toy");
  CU_ASSERT_EQUAL(trace.steps_per_record, 1);
  check_truncated("vllm", snapshots, &plain, never);
  check_damaged("vllm", snapshots, &plain);
}

static void test_vllm_window(void) {
  static const uint32_t load[] = {50, 20, 30, 3, 6, 1, 2, 1, 1, 2, 2, 2};
  mb_import_options options = plain;

  options.dataset = "window";
  CHECK_OK(import_text("vllm",
                       "{" HEADER ", \"snapshots\": [{" FIRST "}, {\"step\": 200, "
                       "\"window_expert_load\": [[1, 1, 1, 1], [2, 2, 2, 0]], "
                       "\"physical_to_logical_map\": [[0, 1, 2, 0], [0, 1, 2, -1]]}]}",
                       &options, path));
  check_loads(2, 2, 3, load);
  CU_ASSERT_EQUAL(trace.steps_per_record, 10);
  CHECK_FAILS(import_text("vllm", snapshots, &options, NULL), MB_ERR_FORMAT,
              "snapshots[1]: layer 1's slot 3 holds no expert (-1), but has a load of 2");
  options.dataset = "sum";
  CHECK_FAILS(import_text("vllm", snapshots, &options, NULL), MB_ERR_PARAM,
              "which are latest and window");
}

/* Ends of whole lines, from the first snapshot's on. */
static int line_ends(const char *text, size_t n) {
  size_t first = (size_t)(strstr(text, "}\n{\"step\": 200") - text);

  return n > first && (text[n] == '\n' || (n > 0 && text[n - 1] == '\n'));
}

static void test_vllm_lines(void) {
  static const char alone[] = "{" FIRST "}\n{" SECOND "}\n{" THIRD "}\n";
  static const char headed[] = "{" HEADER "}\n{" FIRST "}\n{" SECOND "}\n{" THIRD "}";
  static const char each[] = "{" HEADER ", " FIRST "}\n{" HEADER ", " SECOND "}\n{" THIRD "}\n";
  static const char row[] = "{\"step\": 1, \"latest_expert_load\": [[1, 2], [3, 4]], "
                            "\"physical_to_logical_map\": [1, 0]}";
  static const uint32_t row_load[] = {2, 1, 4, 3};

  CHECK_OK(import_text("vllm", alone, &plain, path));
  check_loads(3, 2, 3, latest);
  CHECK_OK(import_text("vllm", headed, &plain, path));
  check_loads(3, 2, 3, latest);
  CHECK_OK(import_text("vllm", each, &plain, path));
  check_loads(3, 2, 3, latest);
  CHECK_OK(import_text("vllm", row, &plain, path));
  check_loads(1, 2, 2, row_load);
  check_truncated("vllm", alone, &plain, line_ends);
  check_damaged("vllm", row, &plain);
}

static void test_vllm_refusals(void) {
  static const refusal cases[] = {
      {"", "the file is empty"},
      {"{" HEADER "}", "has no snapshot"},
      {"{\"snapshots\": []}", "has no snapshot"},
      {"{\"snapshots\": [{}]}", "snapshots[0]: has no step"},
      {"{\"latest_expert_load\": [[1]], \"physical_to_logical_map\": [0]}", "has no step"},
      {"{\"step\": 1, \"latest_expert_load\": [[1]]}", "has no physical_to_logical_map"},
      {"{\"step\": 1, \"latest_expert_load\": [[1]], \"physical_to_logical_map\": [-1]}",
       "has no expert in its"},
      {"{\"step\": 1, \"latest_expert_load\": [[1, 2]], \"physical_to_logical_map\": [0]}",
       "physical_to_logical_map has 1 layers of 1 slots, and should have 1 of 2"},
      {"{\"step\": 1, \"latest_expert_load\": [[1, -2]]}", "latest_expert_load[0][1]: is -2"},
      {"{\"step\": 1, \"latest_expert_load\": [[1]], \"physical_to_logical_map\": [-2]}",
       "is -2, and should be an expert, or -1 for none"},
      {"{\"step\": \"1\"}", "step: is the text \"1\""},
      {"{" FIRST "}\n{" FIRST "}",
       "line 2: is of step 100 and comes after step 100: steps should ascend"},
      {"{" SECOND "}\n{" FIRST "}", "is of step 100 and comes after step 200"},
      {"{" FIRST "}\n{\"step\": 101, \"window_expert_load\": [[1]]}", "has no latest_expert_load"},
      {"{" FIRST "}\n{\"step\": 101, \"latest_expert_load\": [[1]]}",
       "latest_expert_load has 1 layers of 1 slots, and should have 2 of 4, as the first"},
      {"{\"num_logical_experts\": 2, " FIRST "}",
       "physical_to_logical_map[0][2] is 2, and should be -1 to 1"},
      {"{\"num_logical_experts\": 5, " FIRST "}", "has 5 experts, and should have at most 4"},
      {"{\"num_moe_layers\": 3, \"num_physical_experts\": 4, " FIRST "}",
       "num_moe_layers is 3, and should be 2, as the loads have it"},
      {"{" FIRST "}\n{\"num_logical_experts\": 4, " SECOND "}",
       "num_logical_experts is 4, and should be 3"},
      {"{" HEADER ", " FIRST "}\n{\"window_size\": 11, " SECOND "}",
       "window_size: is 11, and should be 10, as before"},
      {"{" FIRST ", \"snapshots\": [{" SECOND "}]}", "and should have one of them"},
      {"{" FIRST "}\n{" SECOND "", "line 2: the file ends here"},
      {"{" FIRST "} [1]", "is an array, and should be an object"},
  };

  CHECK_REFUSALS("vllm", &plain, cases);
}

/* --- tokens */

static const mb_import_options serving = {
    .phase = "decode", .created_by = "test", .serving = {.concurrency = 2, .dp_ranks = 1}};

/* Two requests of two tokens: layer 3 routes them to 0 1, 1 2 and 2 3, 3 0. */
static const char balance[] =
    "{\"layer\": 3, \"batch_id\": 12, \"origin_rows\": [0, 1], \"topk_experts\": [[0, 1], [1, "
    "2]]}\n"
    "{\"layer\": 1, \"batch_id\": 12, \"topk_experts\": [[0, 3], [0, 3]], \"topk_weights\": [[1, "
    "2], "
    "[0.5, 0.1]]}\n"
    "{\"layer\": 1, \"batch_id\": \"b\", \"topk_experts\": [[1, 2], [1, 2]], \"request_id\": 7}\n"
    "{\"layer\": 3, \"batch_id\": \"b\", \"topk_experts\": [[2, 3], [3, 0]], \"source_file\": "
    "\"x.npz\"}\n";
static const uint32_t balance_load[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Without the last line a layer is missing; what is left of it is no JSON, but for its blank. */
static int last_line(const char *text, size_t n) {
  size_t first_request = (size_t)(strstr(text, "{\"layer\": 1, \"batch_id\": \"b\"") - text);
  size_t line = (size_t)(strchr(text, '\n') - text);

  return n + 1 == strlen(text) || n == line || n == line + 1 || n == first_request ||
         n + 1 == first_request;
}

static void test_tokens_balance(void) {
  CHECK_OK(import_text("tokens", balance, &serving, path));
  check_loads(2, 2, 4, balance_load);
  CU_ASSERT(trace.layer_ids[0] == 1 && trace.layer_ids[1] == 3 && trace.top_k == 2);
  check_truncated("tokens", balance, &serving, last_line);
  check_damaged("tokens", balance, &serving);
}

#define META                                                                           \
  "{\"type\": \"meta\", \"model_id\": \"toy\", \"vllm_version\": \"1\", \"seed\": 1, " \
  "\"layers_logged\": [0], \"top_k\": 2, \"num_experts\": 5, \"created_at\": 1764302556.01}\n"
#define ROUTE(request, token, layer, experts)                                                      \
  "{\"type\": \"route\", \"req_id\": \"" request "\", \"token_idx\": " token ", \"layer\": " layer \
  ", \"topk_ids\": " experts ", \"topk_weights\": [0.5, 0.25]}\n"

/* Two requests whose tokens come mixed. */
static void test_tokens_requests(void) {
  static const char text[] = META ROUTE("a", "0", "7", "[0, 1]") ROUTE("b", "0", "7", "[4, 2]")
      ROUTE("a", "1", "7", "[0, 1]") ROUTE("b", "1", "7", "[2, 0]");
  static const uint32_t load[] = {1, 1, 1, 0, 1, 2, 1, 1, 0, 0};

  CHECK_OK(import_text("tokens", text, &serving, path));
  check_loads(2, 1, 5, load);
  CU_ASSERT_STRING_EQUAL(trace.model, "toy");
  check_damaged("tokens", text, &serving);
}

/* One req_id whose token_idx begins anew: passes of 3, 2 and 1 tokens, and a step each. */
static void test_tokens_passes(void) {
  static const char text[] = META ROUTE("r1", "0", "0", "[0, 1]") ROUTE("r1", "1", "0", "[0, 1]")
      ROUTE("r1", "2", "0", "[0, 4]") ROUTE("r1", "0", "0", "[2, 3]")
          ROUTE("r1", "1", "0", "[3, 2]") ROUTE("r1", "0", "0", "[1, 2]");
  static const uint32_t load[] = {3, 2, 0, 0, 1, 0, 0, 2, 2, 0, 0, 1, 1, 0, 0};

  CHECK_OK(import_text("tokens", text, &serving, path));
  check_loads(3, 1, 5, load);
}

/* Two layers, a file each. */
static void test_tokens_files(void) {
  static const char *const texts[] = {
      META ROUTE("r1", "0", "12", "[0, 1]") ROUTE("r1", "0", "12", "[2, 3]"),
      META ROUTE("r1", "0", "8", "[3, 4]") ROUTE("r1", "0", "8", "[4, 1]")};
  static const uint32_t load[] = {0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0};
  const mb_importer *tokens = mb_importer_find("tokens");
  mb_import *import = NULL;
  mb_import_summary summary;
  mb_input inputs[2];

  for (size_t i = 0; i < 2; i++) {
    inputs[i] = input_of("layer.jsonl", texts[i], strlen(texts[i]));
    CU_ASSERT_PTR_EQUAL(mb_importer_recognise(&inputs[i]), tokens);
  }
  CHECK_OK(mb_import_create(path, "tokens", &serving, &import));
  CHECK_OK(mb_importer_read(tokens, 2, inputs, &serving, import));
  CHECK_OK(mb_import_finish(import, &summary));
  mb_import_destroy(import);
  mb_input_close(&inputs[0]);
  mb_input_close(&inputs[1]);
  check_loads(2, 2, 5, load);
  CU_ASSERT(trace.layer_ids[0] == 8 && trace.layer_ids[1] == 12);
}

static void test_tokens_refusals(void) {
  static const refusal cases[] = {
      {"", "the file is empty"},
      {META, "has no routing decision"},
      {"{}", "has neither topk_experts nor topk_ids"},
      {"{\"type\": \"route\"}", "has neither topk_experts nor topk_ids"},
      {"{\"topk_ids\": [1, 2]}", "line 1: has no req_id"},
      {"{\"req_id\": 1, \"topk_ids\": [1, 2]}", "has no token_idx"},
      {"{\"req_id\": 1, \"token_idx\": 0, \"topk_ids\": [1, 2]}", "has no layer"},
      {"{\"topk_experts\": [[1, 2]]}", "has no batch_id"},
      {"{\"topk_experts\": [[1, 2]], \"batch_id\": 1}", "has no layer"},
      {"{\"topk_experts\": [[1, 2]], \"batch_id\": 1, \"layer\": -1}", "layer: is -1"},
      {"{\"topk_experts\": [[1, 1]], \"batch_id\": 1, \"layer\": 2}",
       "line 1: layer 2: expert 1 is chosen twice"},
      {"{\"topk_experts\": [[1, 2], [3]], \"batch_id\": 1, \"layer\": 2}",
       "topk_experts[1]: has 1 numbers, and should have 2"},
      {"{\"topk_experts\": [[1, -1]], \"batch_id\": 1, \"layer\": 2}", "topk_experts[0][1]: is -1"},
      {"{\"topk_ids\": [1], \"topk_experts\": [[1]]}", "and should have one of them"},
      {META ROUTE("a", "0", "0", "[1, 5]"),
       "line 2: layer 0: expert 5 is chosen, and should be 0 to 4"},
      {META ROUTE("a", "0", "0", "[1]"), "line 2: 1 experts are chosen, and should be 2, as top_k"},
      {META ROUTE("a", "1", "0", "[1, 2]"),
       "line 2: token_idx is 1 for req_id a in layer 0, and should be 0"},
      {META ROUTE("a", "0", "0", "[1, 2]") ROUTE("a", "2", "0", "[1, 2]"),
       "line 3: token_idx is 2 for req_id a in layer 0, and should be 1, the next, or 0"},
      {META ROUTE("a", "0", "0", "[1, 2]") ROUTE("a", "1", "0", "[1, 2]")
           ROUTE("a", "1", "0", "[1, 2]"),
       "line 4: token_idx is 1 for req_id a in layer 0, and should be 2"},
      {META ROUTE("a", "0", "0", "[1, 2]") ROUTE("b", "0", "0", "[1, 2]")
           ROUTE("b", "0", "0", "[1, 2]"),
       "line 4: token_idx begins anew within a req_id"},
      {META ROUTE("a", "0", "0", "[1, 2]") ROUTE("a", "0", "0", "[1, 2]")
           ROUTE("b", "0", "0", "[1, 2]"),
       "line 4: token_idx begins anew within a req_id"},
      {META ROUTE("a", "0", "0", "[1, 2]") ROUTE("a", "0", "3", "[1, 2]")
           ROUTE("a", "1", "3", "[1, 2]"),
       "request a has 1 tokens in layer 0 and 2 in layer 3"},
      {META ROUTE("a", "0", "0", "[1, 2]") META "{\"type\": \"meta\", \"top_k\": 3}",
       "line 4: top_k is 3, and should be 2"},
      {META "{\"type\": \"meta\", \"num_experts\": 6}", "num_experts is 6"},
      {"{\"layer\": 0, \"batch_id\": 1, \"topk_experts\": [[1, 2]]}\n"
       "{\"layer\": 0, \"batch_id\": 1, \"topk_experts\": [[1, 2]]}\n",
       "line 2: batch 1 comes twice in layer 0"},
      {"{\"layer\": 0, \"batch_id\": 1, \"topk_experts\": [[1, 2]]}\n"
       "{\"layer\": 1, \"batch_id\": 2, \"topk_experts\": [[1, 2]]}\n",
       "request 1 has 1 tokens in layer 0 and 0 in layer 1"},
  };
  mb_import_options options = {.phase = "decode", .created_by = "test"};

  CHECK_REFUSALS("tokens", &serving, cases);
  CHECK_FAILS(import_text("tokens", balance, &options, NULL), MB_ERR_PARAM,
              "--concurrency says how many are served at once");
}

static void test_recognises(void) {
  static const struct {
    const char *text, *name;
  } cases[] = {{adrs, "adrs"},
               {snapshots, "vllm"},
               {"{" FIRST "}\n", "vllm"},
               {"{" HEADER "}\n", "vllm"},
               {balance, "tokens"},
               {META, "tokens"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mb_input input = input_of("x", cases[i].text, strlen(cases[i].text));
    const mb_importer *found = mb_importer_recognise(&input);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(found->name, cases[i].name);
    mb_input_close(&input);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"adrs", test_adrs},
                         {"adrs: what is refused", test_adrs_refusals},
                         {"vllm: one object", test_vllm_json},
                         {"vllm: sums over windows", test_vllm_window},
                         {"vllm: lines", test_vllm_lines},
                         {"vllm: what is refused", test_vllm_refusals},
                         {"tokens of moe-balance", test_tokens_balance},
                         {"tokens of vLLM-MoE-Logger, by request", test_tokens_requests},
                         {"tokens of vLLM-MoE-Logger, by pass", test_tokens_passes},
                         {"tokens of several files", test_tokens_files},
                         {"tokens: what is refused", test_tokens_refusals},
                         {"each is recognised", test_recognises},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/t.h5", folder);
  int result = run_suite("import json", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return result;
}
