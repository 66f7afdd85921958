/* tests/test_trace_report.c - what `moebal trace info` says of traces that are wrong. */
#include "experiments/trace_report.h"

#include "tests/test.h"

enum { T = 6, L = 70, E = 8, K = 2, TOKENS = 40 };

typedef struct recording {
  mb_trace_info info;
  int32_t layer_ids[L];
  uint32_t load[T][L][E];
} recording;

static recording *record(void) {
  static recording made;

  made.info = (mb_trace_info){.n_steps = T,
                              .n_layers = L,
                              .n_experts = E,
                              .top_k = K,
                              .n_groups = 1,
                              .layer_ids = made.layer_ids,
                              .model = "made up",
                              .source = "a test",
                              .created_by = "nobody",
                              .phase = MB_PHASE_DECODE,
                              .padding = "",
                              .counts = "",
                              .source_semantics = ""};
  for (size_t l = 0; l < L; l++) {
    made.layer_ids[l] = (int32_t)l + 3;
    for (size_t t = 0; t < T; t++) {
      for (size_t e = 0; e < E; e++) {
        made.load[t][l][e] = e == 0 ? 11 : e == 1 ? 9 : 10; /* 80 in all */
      }
    }
  }
  return &made;
}

/* The report, to be freed. */
static char *report(const recording *taken, bool tokens_known) {
  static const uint64_t tokens[T] = {TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS};
  mb_trace_stats *stats = NULL;
  char *text = NULL;
  size_t size = 0;

  CHECK_OK(mb_trace_stats_create(&taken->info, 2, tokens_known, &stats));
  mb_trace_stats_add(stats, T, taken->load[0][0], tokens_known ? tokens : NULL);
  FILE *out = open_memstream(&text, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(out);
  mb_trace_report_print(out, "x.h5", &taken->info, "0123", mb_trace_stats_finish(stats));
  (void)fclose(out);
  mb_trace_stats_destroy(stats);
  return text;
}

/* Says all of the texts ("a|b|c", line breaks and indents apart), in no more than 100 columns. */
static void check_says(const recording *taken, bool tokens_known, const char *texts) {
  char *said = report(taken, tokens_known);
  char wanted[1024];
  char *rest = NULL;
  size_t n = 0;

  for (const char *line = said; *line != '\0'; line += strcspn(line, "\n") + 1) {
    CU_ASSERT(strcspn(line, "\n") <= 100);
  }
  for (size_t i = 0; said[i] != '\0'; i++) { /* all white space becomes one space */
    bool space = strchr(" \n", said[i]) != NULL;
    if (!space || n == 0 || said[n - 1] != ' ') {
      said[n++] = said[i];
      said[n - 1] = (char)(space ? ' ' : said[n - 1]);
    }
  }
  said[n] = '\0';
  (void)snprintf(wanted, sizeof wanted, "%s", texts);
  for (char *text = strtok_r(wanted, "|", &rest); text != NULL; text = strtok_r(NULL, "|", &rest)) {
    CU_ASSERT_PTR_NOT_NULL(strstr(said, text));
    if (strstr(said, text) == NULL) {
      (void)printf("\n    not said: %s\n    but: %s\n", text, said);
    }
  }
  free(said);
}

static void test_right(void) {
  const recording *taken = record();

  check_says(
      taken, false,
      "6 steps x 70 layers x 8 experts, top 2, 1 group|0123, none is recorded|"
      "mean 40, from 40 to 40 (the sum over the experts / top_k)|3, each of 2 steps|"
      " ok in each step the sum over the experts is the same in all layers, and a multiple of "
      "top_k|without /tokens|counts not said; padding: not said");
  check_says(taken, true, "(from /tokens)|same in all layers, and top_k x tokens");
  char *said = report(taken, true);
  CU_ASSERT_PTR_NULL(strstr(said, "WRONG"));
  CU_ASSERT_PTR_NULL(strstr(said, "without /tokens"));
  free(said);
}

static void test_faults(void) {
  recording *taken = record();

  memset(taken->load[3][5], 0, sizeof taken->load[3][5]);
  taken->load[4][6][0] -= 8;
  check_says(taken, true,
             "WRONG dropped tokens: fewer loads than top_k x tokens; 55 % are missing there. "
             "In 2 layers (8, 9), 2 layer-steps, the first in step 3.");

  taken = record();
  for (size_t l = 0; l < L; l++) {
    taken->load[5][l][2] += 4;
  }
  check_says(taken, true,
             "WRONG padding: more loads than top_k x tokens: padding or dummy tokens counted; "
             "5 % too many there. In all layers, 70 layer-steps, the first in step 5.");

  taken = record();
  for (size_t t = 0; t < T; t++) {
    for (size_t e = 0; e < E; e++) {
      for (size_t l = 2; l < 14; l++) {
        taken->load[t][l][e] *= 2;
      }
      taken->load[t][0][e] = 0;
    }
  }
  check_says(taken, false,
             "WRONG all-zero layer: no load in any step: a dense layer, or one not recorded. "
             "In 1 layer (3), 6 layer-steps, the first in step 0.|"
             "WRONG ranks counted twice: a whole multiple of top_k x tokens in every step; 2 times "
             "it. In 12 layers (5, 6, 7, 8, 9, 10, 11, 12 and 4 more), 72 layer-steps|"
             "* a check found something wrong in this layer|layer-steps");

  taken = record();
  taken->info.top_k = 4;
  check_says(taken, true,
             "WRONG wrong top_k: every token counts another number of times than top_k; 2 times");

  memset(taken->load, 0, sizeof taken->load);
  check_says(taken, false, "WRONG no step has any load|6 of 6 have no load in any layer");
}

/* Texts of a file do not steer the terminal, and break where they are long. */
static void test_texts(void) {
  recording *taken = record();
  char source[1500];

  memset(source, 'x', sizeof source);
  for (size_t i = 0; i < sizeof source; i += 30) {
    source[i] = ' ';
  }
  source[sizeof source - 1] = '\0';
  taken->info.source = source;
  taken->info.model = "a\033[2Jb\nc";
  taken->info.padding = "included";
  taken->info.counts = "from_physical";
  taken->info.source_semantics = "attention_dp";
  taken->info.n_sources = 16;
  taken->info.steps_per_record = 10;
  taken->info.objects = MB_TRACE_STEP_TIME | MB_TRACE_TOPK;
  check_says(taken, false,
             "model a?[2Jb?c, decode|the file says that padding is included|from_physical|"
             "16, attention_dp|each step of the file is the sum of 10|also has /step_time /topk");
}

int main(void) {
  CU_TestInfo tests[] = {
      {"a right trace", test_right},
      {"faults, in words", test_faults},
      {"texts from the file", test_texts},
      CU_TEST_INFO_NULL,
  };
  return run_suite("trace_report", tests);
}
