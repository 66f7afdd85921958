/* workloads/import.c - holds what importers tell against the options, a model and what came before,
 * and writes it. Steps are written in batches, since HDF5 packs whole chunks. */
#include "workloads/import.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/trace_info.h"

/* Loads that are gathered before they are written: 4 MiB of them. */
static const size_t BATCH_LOADS = (size_t)1 << 20;

/* The last note tells of those that had no room. */
enum { N_NOTES_MAX = 64, NOTE_SIZE = 512, SOURCE_SIZE = 1024 };

struct mb_import {
  char *output; /* NULL: none */
  const char *format;
  const mb_import_options *options;
  mb_status (*progress)(void *context, size_t n_steps);
  void *context;

  bool begun;
  mb_trace_info info;     /* n_steps counts; texts and layer_ids are its own */
  mb_semantics semantics; /* what is done */
  size_t n_sources;       /* R of what comes in */
  bool has_tokens;
  char *first_path;        /* the input that said so */
  char *path;              /* the input of the steps that come */
  size_t input_steps;      /* of that input */
  mb_trace_writer *writer; /* NULL without output */

  size_t n_batch, batch_size; /* steps */
  uint32_t *load, *by_source, *tokens;

  bool alike; /* several ranks, and in every step so far all had the same loads */
  bool some_load;
  char *notes[N_NOTES_MAX];
  size_t n_notes, n_more_notes; /* more: without room */
};

mb_status mb_import_create(const char *output, const char *format, const mb_import_options *options,
                           mb_import **import) {
  mb_import *made = calloc(1, sizeof *made);

  if (made != NULL && output != NULL) {
    made->output = strdup(output);
  }
  if (made == NULL || (output != NULL && made->output == NULL)) {
    free(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to import a trace");
  }
  made->format = format;
  made->options = options;
  made->alike = true;
  *import = made;
  return MB_OK;
}

void mb_import_destroy(mb_import *import) {
  if (import == NULL) {
    return;
  }
  mb_trace_writer_destroy(import->writer);
  mb_trace_info_fini(&import->info);
  for (size_t i = 0; i < import->n_notes; i++) {
    free(import->notes[i]);
  }
  free(import->load);
  free(import->by_source);
  free(import->tokens);
  free(import->first_path);
  free(import->path);
  free(import->output);
  free(import);
}

void mb_import_watch(mb_import *import, mb_status (*progress)(void *context, size_t n_steps),
                     void *context) {
  import->progress = progress;
  import->context = context;
}

mb_status mb_import_poll(mb_import *import) {
  return import->progress != NULL ? import->progress(import->context, import->info.n_steps) : MB_OK;
}

static void add_note(mb_import *import, const char *text) {
  import->notes[import->n_notes] = strdup(text);
  import->n_notes += import->notes[import->n_notes] != NULL ? 1 : 0;
}

void mb_import_note(mb_import *import, const char *format, ...) {
  char text[NOTE_SIZE];
  va_list values;

  va_start(values, format);
  (void)vsnprintf(text, sizeof text, format, values);
  va_end(values);
  /* As in messages: what a file says of itself is shown on one line, and steers no terminal. */
  for (char *c = text; *c != '\0'; c++) {
    *c = iscntrl((unsigned char)*c) ? ' ' : *c;
  }
  for (size_t i = 0; i < import->n_notes; i++) {
    if (strcmp(import->notes[i], text) == 0) {
      return;
    }
  }
  if (import->n_notes == N_NOTES_MAX - 1) {
    import->n_more_notes++;
    return;
  }
  add_note(import, text);
}

/* Beyond so many notes nobody reads them, but should know that there were more. */
static void note_more(mb_import *import) {
  char text[NOTE_SIZE];

  if (import->n_more_notes > 0) {
    (void)snprintf(text, sizeof text, "%zu more notes are left out: import fewer inputs at a time",
                   import->n_more_notes);
    add_note(import, text);
  }
}

/* ---- what the trace will say of itself ---- */

/* A number that the file, the user and the model may each tell: they have to agree. 0: unknown. */
static mb_status settle(const char *path, const char *what, const char *option, int64_t in_file,
                        int64_t given, const mb_model *model, size_t of_model, int64_t *value) {
  if (in_file != 0 && given != 0 && in_file != given) {
    return MB_FAIL(MB_ERR_PARAM, "%s: its %s is %" PRId64 ", but %s %" PRId64 " is given", path,
                   what, in_file, option, given);
  }
  *value = given != 0 ? given : in_file;
  if (model != NULL && *value == 0) {
    *value = (int64_t)of_model;
  }
  if (model != NULL && in_file != 0 && in_file != (int64_t)of_model) {
    return MB_FAIL(MB_ERR_PARAM, "%s: its %s is %" PRId64 ", but %s has %zu", path, what, in_file,
                   model->name, of_model);
  }
  return MB_OK;
}

static mb_status check_model(const char *path, const mb_import_facts *facts,
                             const mb_model *model) {
  if (model == NULL) {
    return MB_OK;
  }
  if (facts->n_experts != model->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has layers of %zu experts, but %s has %zu", path,
                   facts->n_experts, model->name, model->n_experts);
  }
  if (facts->n_layers > model->n_layers + model->first_layer) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has %zu layers, but %s has %zu with experts", path,
                   facts->n_layers, model->name, model->n_layers);
  }
  return MB_OK;
}

/* Where nobody says which layers these are: the model's, or counted from 0. */
static void fill_layer_ids(const mb_import_facts *facts, const mb_model *model, int32_t *ids) {
  bool all = model != NULL && facts->n_layers == model->n_layers;

  for (size_t l = 0; l < facts->n_layers; l++) {
    ids[l] = facts->layer_ids != NULL
                 ? facts->layer_ids[l]
                 : (int32_t)(all ? model->first_layer + l * model->layer_step : l);
  }
}

static mb_status find_phase(const char *path, const mb_import_options *options,
                            const mb_import_facts *facts, mb_import *import, mb_phase *phase) {
  const char *name = options->phase != NULL ? options->phase : facts->phase;

  if (name == NULL) {
    name = "mixed";
    mb_import_note(import, "phase taken as mixed: the input does not tell, --phase does");
  }
  if (!mb_phase_find(name, phase)) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: phase \"%.64s\", but it should be prefill, decode, mixed or "
                   "train",
                   path, name);
  }
  return MB_OK;
}

/* Of the file's path only its name goes into the trace: where it lay on somebody's disk is nobody's
   business. */
static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void settle_semantics(mb_import *import, const mb_import_facts *facts) {
  mb_semantics given = import->options->semantics;

  import->semantics = given != MB_SEMANTICS_ASSUMED              ? given
                      : facts->semantics != MB_SEMANTICS_ASSUMED ? facts->semantics
                                                                 : MB_SEMANTICS_ATTENTION_DP;
  if (facts->n_sources > 1 && given == MB_SEMANTICS_ASSUMED) {
    mb_import_note(import,
                   import->semantics == MB_SEMANTICS_ATTENTION_DP
                       ? "%zu ranks are taken to count tokens of their own, and are "
                         "summed: --source-semantics attention_tp takes one instead"
                       : "%zu ranks are taken to count the same tokens, and one is taken: "
                         "--source-semantics attention_dp sums them instead",
                   facts->n_sources);
  }
  if (facts->n_sources == 1 && (given != MB_SEMANTICS_ASSUMED || import->options->keep_sources)) {
    mb_import_note(import, "%s: this input does not tell ranks apart",
                   import->options->keep_sources ? "--keep-sources" : "--source-semantics");
  } else if (import->options->keep_sources && import->semantics == MB_SEMANTICS_ATTENTION_TP) {
    mb_import_note(import, "--keep-sources: the ranks count the same tokens, so one is written, "
                           "and nothing by rank");
  }
}

/* Whether the ranks stay apart in the trace. */
static bool keeps_sources(const mb_import *import) {
  return import->options->keep_sources && import->n_sources > 1 &&
         import->semantics == MB_SEMANTICS_ATTENTION_DP;
}

/* A number of experts or of their groups: at least 1, at most one an expert. */
static mb_status check_count(const char *path, const char *what, int64_t value, size_t n_experts) {
  if (value < 1 || (uint64_t)value > n_experts) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: %s %" PRId64 ", but it should be 1 to %zu, the number of experts", path,
                   what, value, n_experts);
  }
  return MB_OK;
}

static mb_status settle_numbers(const mb_import *import, const char *path,
                                const mb_import_facts *facts, mb_trace_info *info) {
  const mb_import_options *options = import->options;
  const mb_model *model = options->model;
  int64_t top_k = 0;
  int64_t n_groups = 0;

  MB_TRY(settle(path, "top_k", "--top-k", facts->top_k, options->top_k, model,
                model != NULL ? model->top_k : 0, &top_k));
  MB_TRY(settle(path, "number of groups", "--groups", facts->n_groups, options->n_groups, model,
                model != NULL ? model->n_groups : 0, &n_groups));
  if (top_k == 0) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: does not tell to how many experts a token goes: give --top-k K, or a "
                   "--model of `moebal list models`",
                   path);
  }
  n_groups = n_groups == 0 ? 1 : n_groups;
  MB_TRY(check_count(path, "top_k", top_k, facts->n_experts));
  MB_TRY(check_count(path, "number of groups", n_groups, facts->n_experts));
  info->top_k = (int32_t)top_k;
  info->n_groups = (int32_t)n_groups;
  return MB_OK;
}

static const char *model_text(const mb_import_options *options, const mb_import_facts *facts) {
  if (options->model != NULL) {
    return options->model->title;
  }
  if (options->model_name != NULL) {
    return options->model_name;
  }
  return facts->model != NULL ? facts->model : "unknown";
}

/* Which optional objects the trace will have. */
static void settle_objects(const mb_import *import, const mb_import_facts *facts,
                           mb_trace_info *info) {
  if (facts->n_sources > 1) {
    info->source_semantics =
        import->semantics == MB_SEMANTICS_ATTENTION_TP ? "attention_tp" : "attention_dp";
  }
  if (keeps_sources(import)) {
    info->objects |= MB_TRACE_LOAD_BY_SOURCE;
  }
  if (facts->has_tokens && (facts->n_sources == 1 || keeps_sources(import))) {
    info->objects |= MB_TRACE_TOKENS;
  }
  info->n_sources = info->objects != 0 ? import->n_sources : 0;
}

static mb_status fill_info(mb_import *import, const char *path, const mb_import_facts *facts) {
  const mb_import_options *options = import->options;
  char source[SOURCE_SIZE];
  mb_trace_info info = {.n_layers = facts->n_layers,
                        .n_experts = facts->n_experts,
                        .model = model_text(options, facts),
                        .source = source,
                        .created_by = options->created_by,
                        .padding = facts->padding,
                        .counts = facts->counts,
                        .steps_per_record = facts->steps_per_record};

  MB_TRY(mb_trace_sizes_check(path, facts->n_layers, facts->n_experts));
  MB_TRY(mb_trace_sizes_check(path, facts->n_layers * facts->n_sources, facts->n_experts));
  MB_TRY(check_model(path, facts, options->model));
  MB_TRY(settle_numbers(import, path, facts, &info));
  MB_TRY(find_phase(path, options, facts, import, &info.phase));
  settle_objects(import, facts, &info);
  int length = snprintf(source, sizeof source, "%s%simported from %s (%s)",
                        options->source != NULL ? options->source : "",
                        options->source != NULL ? "; " : "", base_name(path), import->format);
  if (length < 0 || (size_t)length >= sizeof source) {
    return MB_FAIL(MB_ERR_PARAM, "--source and the name of %s have %d bytes, and should have %zu",
                   path, length, sizeof source - 1);
  }
  int32_t *ids = malloc(facts->n_layers * sizeof *ids);
  if (ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the ids of %zu layers", facts->n_layers);
  }
  fill_layer_ids(facts, options->model, ids);
  info.layer_ids = ids;
  mb_status status = mb_trace_info_check(path, &info);
  status = status == MB_OK ? mb_trace_info_copy(&info, &import->info) : status;
  free(ids);
  return status;
}

static mb_status allocate_batch(mb_import *import) {
  size_t step = import->info.n_layers * import->info.n_experts;
  size_t n = BATCH_LOADS / (step * import->n_sources);

  import->batch_size = n < 1 ? 1 : n > 4096 ? 4096 : n;
  import->load = calloc(import->batch_size * step, sizeof *import->load);
  import->by_source = calloc(import->batch_size * step * import->n_sources, sizeof(uint32_t));
  import->tokens = calloc(import->batch_size * import->n_sources, sizeof *import->tokens);
  if (import->load == NULL || import->by_source == NULL || import->tokens == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for steps of %zu layers of %zu experts",
                   import->info.n_layers, import->info.n_experts);
  }
  return MB_OK;
}

static mb_status begin_first(mb_import *import, const mb_input *input,
                             const mb_import_facts *facts) {
  import->n_sources = facts->n_sources;
  import->has_tokens = facts->has_tokens;
  settle_semantics(import, facts);
  MB_TRY(fill_info(import, input->path, facts));
  MB_TRY(allocate_batch(import));
  import->first_path = strdup(input->path);
  if (import->first_path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to import %s", input->path);
  }
  if (import->output != NULL) {
    MB_TRY(mb_trace_writer_create(import->output, &import->info, &import->writer));
  }
  import->begun = true;
  return MB_OK;
}

static mb_status fail_fit(const mb_import *import, const mb_input *input, const char *what,
                          uint64_t here, uint64_t there) {
  return MB_FAIL(MB_ERR_SHAPE,
                 "%s: has %" PRIu64 " %s, but %s before it has %" PRIu64
                 ": inputs of one trace must have as many",
                 input->path, here, what, import->first_path, there);
}

static mb_status check_fit(const mb_import *import, const mb_input *input,
                           const mb_import_facts *facts) {
  const mb_trace_info *info = &import->info;

  if (facts->n_layers != info->n_layers) {
    return fail_fit(import, input, "layers", facts->n_layers, info->n_layers);
  }
  if (facts->n_experts != info->n_experts) {
    return fail_fit(import, input, "experts", facts->n_experts, info->n_experts);
  }
  if (facts->n_sources != import->n_sources) {
    return fail_fit(import, input, "ranks", facts->n_sources, import->n_sources);
  }
  if (facts->top_k != 0 && facts->top_k != info->top_k) {
    return fail_fit(import, input, "experts a token (top_k)", (uint64_t)facts->top_k,
                    (uint64_t)info->top_k);
  }
  for (size_t l = 0; facts->layer_ids != NULL && l < info->n_layers; l++) {
    if (facts->layer_ids[l] != info->layer_ids[l]) {
      return MB_FAIL(MB_ERR_SHAPE,
                     "%s: layer %zu is number %" PRId32 " of the model, but %" PRId32
                     " in %s before it",
                     input->path, l, facts->layer_ids[l], info->layer_ids[l], import->first_path);
    }
  }
  if (facts->has_tokens != import->has_tokens) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: tells tokens a step or does not, unlike %s before it",
                   input->path, import->first_path);
  }
  return MB_OK;
}

mb_status mb_import_begin(mb_import *import, const mb_input *input, const mb_import_facts *facts) {
  char *path = strdup(input->path);

  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to import %s", input->path);
  }
  free(import->path);
  import->path = path;
  import->input_steps = 0;
  if (facts->n_sources < 1 || facts->n_sources > MB_TRACE_SIZE_MAX) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has loads of %zu ranks, and should have at least 1",
                   input->path, facts->n_sources);
  }
  return import->begun ? check_fit(import, input, facts) : begin_first(import, input, facts);
}

/* ---- steps ---- */

static mb_status fail_load(const mb_import *import, size_t at, uint64_t value, const char *what) {
  size_t n_experts = import->info.n_experts;
  size_t l = at / n_experts;

  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: step %zu, layer %" PRId32 ", expert %zu: %s%" PRIu64
                 ", and a trace holds at most 4294967295",
                 import->path, import->input_steps, import->info.layer_ids[l], at % n_experts, what,
                 value);
}

/* One layer and expert, [R] with that stride, as one load. */
static mb_status merge_ranks(mb_import *import, const uint64_t *load, size_t stride, size_t at,
                             uint32_t *merged) {
  uint64_t sum = 0;

  for (size_t r = 0; r < import->n_sources; r++) {
    uint64_t value = load[r * stride];
    if (value > UINT32_MAX) {
      return fail_load(import, at, value, "a load of ");
    }
    if (value != load[0]) {
      if (import->semantics == MB_SEMANTICS_ATTENTION_TP) {
        return MB_FAIL(MB_ERR_FORMAT,
                       "%s: step %zu, layer %" PRId32 ", expert %zu: rank 0 counts %" PRIu64
                       " tokens and rank %zu %" PRIu64
                       ", so they did not see the same ones: --source-semantics attention_dp sums "
                       "them",
                       import->path, import->input_steps,
                       import->info.layer_ids[at / import->info.n_experts],
                       at % import->info.n_experts, load[0], r, value);
      }
      import->alike = false;
    }
    sum += value;
  }
  import->some_load = import->some_load || sum > 0;
  sum = import->semantics == MB_SEMANTICS_ATTENTION_TP ? load[0] : sum;
  if (sum > UINT32_MAX) {
    return fail_load(import, at, sum, "the ranks' loads add up to ");
  }
  *merged = (uint32_t)sum;
  return MB_OK;
}

static mb_status flush(mb_import *import) {
  size_t n = import->n_batch;
  mb_trace_steps steps = {.load = import->load};

  import->n_batch = 0;
  if (import->writer == NULL || n == 0) {
    return MB_OK;
  }
  if ((import->info.objects & MB_TRACE_LOAD_BY_SOURCE) != 0) {
    steps.load_by_source = import->by_source;
  }
  if ((import->info.objects & MB_TRACE_TOKENS) != 0) {
    steps.tokens = import->tokens;
  }
  return mb_trace_writer_append_steps(import->writer, n, &steps);
}

mb_status mb_import_step(mb_import *import, const uint64_t *load, const uint32_t *tokens) {
  size_t n_layers = import->info.n_layers;
  size_t n_experts = import->info.n_experts;
  size_t n_sources = import->n_sources;

  assert(import->begun && (tokens != NULL) == import->has_tokens);
  uint32_t *merged = import->load + import->n_batch * n_layers * n_experts;
  uint32_t *apart = import->by_source + import->n_batch * n_layers * n_sources * n_experts;
  for (size_t l = 0; l < n_layers; l++) {
    const uint64_t *layer = load + l * n_sources * n_experts;
    for (size_t e = 0; e < n_experts; e++) {
      MB_TRY(
          merge_ranks(import, layer + e, n_experts, l * n_experts + e, &merged[l * n_experts + e]));
    }
    for (size_t i = 0; i < n_sources * n_experts; i++) {
      apart[l * n_sources * n_experts + i] = (uint32_t)layer[i];
    }
  }
  if (tokens != NULL) {
    memcpy(import->tokens + import->n_batch * n_sources, tokens, n_sources * sizeof *tokens);
  }
  import->n_batch++;
  import->input_steps++;
  import->info.n_steps++;
  if (import->n_batch == import->batch_size) {
    MB_TRY(flush(import));
  }
  return mb_import_poll(import);
}

mb_status mb_import_finish(mb_import *import, mb_import_summary *summary) {
  if (!import->begun || import->info.n_steps == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: holds no step, and a trace needs at least one",
                   import->path != NULL ? import->path : "the input");
  }
  MB_TRY(flush(import));
  if (import->n_sources > 1 && import->alike && import->some_load &&
      import->semantics == MB_SEMANTICS_ATTENTION_DP) {
    mb_import_note(import,
                   "all %zu ranks are alike in every step: if they saw the same tokens, as "
                   "under attention TP, use --source-semantics attention_tp",
                   import->n_sources);
  }
  note_more(import);
  if (import->writer != NULL) {
    mb_trace_writer *writer = import->writer;
    import->writer = NULL;
    MB_TRY(mb_trace_writer_finish(writer));
  }
  *summary = (mb_import_summary){.n_steps = import->info.n_steps,
                                 .n_layers = import->info.n_layers,
                                 .n_experts = import->info.n_experts,
                                 .n_sources = import->n_sources,
                                 .top_k = import->info.top_k,
                                 .notes = (const char *const *)import->notes,
                                 .n_notes = import->n_notes};
  return MB_OK;
}
