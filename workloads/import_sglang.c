/* workloads/import_sglang.c - what SGLang's expert distribution recorder writes with torch.save().
 *
 * stat, stat_approx: one file, of rank 0: {"rank", "logical_count" int32 [S,L,E], ...}: a buffer of
 *   the loads of forward passes, all ranks summed, physical experts mapped to logical ones.
 * per_pass: a file a rank: {"records": [{"forward_pass_id", "rank", "gatherer_key",
 *   "global_physical_count" [L,P]}], "last_physical_to_logical_map" [L,P]}
 * per_token: the same, and in each record "topk_ids_of_layer" int32 [L,tokens,k], the physical
 *   experts of each token, -1 for none, and "extend_seq_lens", a list where it is prefill.
 *
 * L counts all layers of the model: those without experts have no load, and are left out here.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/importer.h"
#include "workloads/torch_file.h"
#include "workloads/trace_info.h"

typedef enum recorder_mode { MODE_STAT, MODE_PER_PASS, MODE_PER_TOKEN } recorder_mode;

static const char *const mode_names[] = {"stat", "per_pass", "per_token"};

/* One input. */
typedef struct part {
  const mb_input *input;
  mb_torch_file *file;
  const mb_tensor *stat; /* logical_count [S,L,E] */
  mb_py records;
  const mb_tensor *map; /* [L,P] */
} part;

/* What one rank has recorded of one forward pass. */
typedef struct record {
  int64_t pass, rank;
  part *of;
  size_t index;            /* in its file's records */
  const mb_tensor *counts; /* [L,P], per_pass */
  const mb_tensor *topk;   /* [L,tokens,k], per_token */
  bool prefills, decodes;  /* per_token: whether it is of extend or decode, or both */
} record;

typedef struct recording {
  recorder_mode mode;
  part *parts;
  size_t n_parts;
  size_t n_layers, n_slots, n_experts, n_ranks; /* n_slots: P, or E of stat */
  int32_t *map;                                 /* [L,P] */
  record *records;                              /* [T,R] by pass, then rank */
  size_t n_records;
  size_t n_steps;
  /* Scratch. */
  uint32_t *counts; /* [L,P] */
  int64_t *ids;     /* as many as were needed so far */
  bool *routed;     /* tokens, likewise */
  size_t n_ids, n_routed;
  /* What a first look at all steps has found. */
  bool *used;   /* [L] layers that have load */
  bool *empty;  /* [T] steps that have none */
  bool foreign; /* some rank has counted a slot that it does not hold */
  bool prefills, decodes;
  int64_t top_k;      /* per_token: experts a token at most */
  int32_t *layer_ids; /* [n_used] */
  size_t n_used;
} recording;

/* --- what is in a file */

static mb_status fail_dict(const part *p, const char *key, const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: \"%s\" should be %s", p->input->path, key, what);
}

static mb_status get_tensor(const part *p, mb_py dict, const char *key, size_t rank,
                            const char *shape, const mb_tensor **tensor) {
  mb_py value = {.kind = MB_PY_NONE};

  if (!mb_py_find(dict, key, &value) || value.kind != MB_PY_TENSOR ||
      value.as.tensor->rank != rank) {
    return fail_dict(p, key, shape);
  }
  *tensor = value.as.tensor;
  return MB_OK;
}

static mb_status open_part(part *p, recorder_mode *mode) {
  mb_py value;

  MB_TRY(mb_torch_open(p->input, &p->file));
  mb_py root = mb_torch_root(p->file);
  if (mb_py_find(root, "logical_count", &value)) {
    *mode = MODE_STAT;
    return get_tensor(p, root, "logical_count", 3, "a tensor [steps,layers,experts]", &p->stat);
  }
  if (!mb_py_find(root, "records", &p->records)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: holds %s, and should hold what SGLang's expert distribution recorder "
                   "writes: a dict with \"logical_count\", or with \"records\"",
                   p->input->path, mb_py_kind_name(root.kind));
  }
  if (p->records.kind != MB_PY_LIST || mb_py_count(p->records) == 0) {
    return fail_dict(p, "records", "a list with a dict for each forward pass");
  }
  *mode = mb_py_find(mb_py_item(p->records, 0), "topk_ids_of_layer", &value) ? MODE_PER_TOKEN
                                                                             : MODE_PER_PASS;
  return get_tensor(p, root, "last_physical_to_logical_map", 2, "a tensor [layers,slots]", &p->map);
}

static mb_status open_parts(recording *r) {
  for (size_t i = 0; i < r->n_parts; i++) {
    recorder_mode mode = MODE_STAT;
    MB_TRY(open_part(&r->parts[i], &mode));
    if (i > 0 && mode != r->mode) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: is of mode %s, and %s of mode %s: import each on its own",
                     r->parts[i].input->path, mode_names[mode], r->parts[0].input->path,
                     mode_names[r->mode]);
    }
    r->mode = mode;
  }
  return MB_OK;
}

/* --- mode stat */

static mb_status plan_stat(recording *r) {
  const mb_tensor *first = r->parts[0].stat;

  MB_TRY(mb_trace_sizes_check(r->parts[0].input->path, (size_t)first->dims[1],
                              (size_t)first->dims[2]));
  r->n_layers = (size_t)first->dims[1];
  r->n_experts = r->n_slots = (size_t)first->dims[2];
  r->n_ranks = 1;
  for (size_t i = 0; i < r->n_parts; i++) {
    const mb_tensor *stat = r->parts[i].stat;
    if (stat->dims[1] != first->dims[1] || stat->dims[2] != first->dims[2]) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: has %" PRIu64 " layers of %" PRIu64
                     " experts, and should have %zu of %zu "
                     "as %s",
                     r->parts[i].input->path, stat->dims[1], stat->dims[2], r->n_layers,
                     r->n_experts, r->parts[0].input->path);
    }
    /* Their numbers are there, so a sum of their counts is far from overflowing. */
    MB_TRY(mb_torch_check(r->parts[i].file, "logical_count", stat));
    r->n_steps += (size_t)stat->dims[0];
  }
  return MB_OK;
}

/* The buffer that holds a step, and in which row. */
static const part *find_stat(const recording *r, size_t t, size_t *row) {
  const part *p = r->parts;

  while (t >= (size_t)p->stat->dims[0]) {
    t -= (size_t)p->stat->dims[0];
    p++;
  }
  *row = t;
  return p;
}

/* Rows without load are unused. A buffer whose last row is in use may have begun anew. */
static void note_buffer(const part *p, const bool *empty, mb_import *import) {
  size_t n = (size_t)p->stat->dims[0];
  size_t n_empty = 0;

  for (size_t i = 0; i < n; i++) {
    n_empty += empty[i] ? 1 : 0;
  }
  if (n_empty > 0) {
    mb_import_note(import,
                   "%s: %zu of the %zu rows of its buffer have no load: unused, and left out",
                   p->input->path, n_empty, n);
  }
  if (n > 1 && !empty[n - 1]) {
    mb_import_note(import,
                   "%s: its last row is in use: a buffer of limited size is circular, so later "
                   "steps may have been written over the first ones, and stand before earlier ones",
                   p->input->path);
  }
}

/* --- modes per_pass and per_token */

static mb_status fail_record(const record *of, const char *key, const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: records[%zu]: \"%s\" should be %s", of->of->input->path,
                 of->index, key, what);
}

static mb_status get_int(const record *of, mb_py dict, const char *key, int64_t most,
                         int64_t *number) {
  mb_py value = {.kind = MB_PY_NONE};

  if (!mb_py_find(dict, key, &value) || value.kind != MB_PY_INT || value.as.integer < 0 ||
      value.as.integer > most) {
    return fail_record(of, key, "a whole number from 0");
  }
  *number = value.as.integer;
  return MB_OK;
}

/* A list of the lengths that each request is extended by; where that is 1, it may be of decoding.
 */
static void find_phase(mb_py dict, record *of) {
  mb_py lengths = {.kind = MB_PY_NONE};

  if (!mb_py_find(dict, "extend_seq_lens", &lengths)) {
    of->prefills = of->decodes = true;
  } else if (lengths.kind == MB_PY_NONE) {
    of->decodes = true;
  } else {
    for (size_t i = 0; i < mb_py_count(lengths) && lengths.kind == MB_PY_LIST; i++) {
      mb_py length = mb_py_item(lengths, i);
      bool one = length.kind == MB_PY_INT && length.as.integer == 1;
      of->decodes = of->decodes || one;
      of->prefills = of->prefills || !one;
    }
  }
}

static mb_status read_record(const recording *r, mb_py dict, record *of) {
  mb_py key = {.kind = MB_PY_NONE};
  bool tokens = r->mode == MODE_PER_TOKEN;
  const char *name = tokens ? "topk_ids_of_layer" : "global_physical_count";
  const char *shape = tokens ? "a tensor [layers,tokens,k]" : "a tensor [layers,slots]";
  mb_py value = {.kind = MB_PY_NONE};

  MB_TRY(get_int(of, dict, "forward_pass_id", INT64_MAX, &of->pass));
  MB_TRY(get_int(of, dict, "rank", INT32_MAX, &of->rank));
  if (mb_py_find(dict, "gatherer_key", &key) && !mb_py_is_text(key, "primary")) {
    return fail_record(of, "gatherer_key", "\"primary\"");
  }
  if (!mb_py_find(dict, name, &value) || value.kind != MB_PY_TENSOR ||
      value.as.tensor->rank != (tokens ? 3 : 2) || value.as.tensor->dims[0] != r->n_layers ||
      (!tokens && value.as.tensor->dims[1] != r->n_slots)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: records[%zu]: \"%s\" should be %s, of %zu layers and %zu slots as "
                   "last_physical_to_logical_map",
                   of->of->input->path, of->index, name, shape, r->n_layers, r->n_slots);
  }
  if (tokens) {
    of->topk = value.as.tensor;
    find_phase(dict, of);
  } else {
    of->counts = value.as.tensor;
  }
  return MB_OK;
}

/* A recorder numbers forward passes without gaps; between dumps some may be missing. */
static mb_status check_next(const record *before, const record *now) {
  if (now->of == before->of && now->pass != before->pass + 1) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: records[%zu]: forward_pass_id is %" PRId64 ", and should be %" PRId64
                   ": passes should follow each other",
                   now->of->input->path, now->index, now->pass, before->pass + 1);
  }
  return MB_OK;
}

static mb_status list_records(recording *r) {
  size_t n = 0;

  for (size_t i = 0; i < r->n_parts; i++) {
    n += mb_py_count(r->parts[i].records);
  }
  r->records = calloc(n, sizeof *r->records);
  if (r->records == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu records of %s", n, r->parts[0].input->path);
  }
  for (size_t i = 0; i < r->n_parts; i++) {
    for (size_t j = 0; j < mb_py_count(r->parts[i].records); j++) {
      record *of = &r->records[r->n_records++];
      *of = (record){.of = &r->parts[i], .index = j};
      MB_TRY(read_record(r, mb_py_item(r->parts[i].records, j), of));
      if (j > 0) {
        MB_TRY(check_next(of - 1, of));
      }
    }
  }
  return MB_OK;
}

static int compare_records(const void *a, const void *b) {
  const record *x = a;
  const record *y = b;

  if (x->pass != y->pass) {
    return x->pass < y->pass ? -1 : 1;
  }
  if (x->rank != y->rank) {
    return x->rank < y->rank ? -1 : 1;
  }
  return x->of != y->of ? (x->of < y->of ? -1 : 1)
                        : (x->index < y->index ? -1 : x->index > y->index);
}

static mb_status fail_twice(const record *first, const record *second) {
  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: records[%zu]: is forward pass %" PRId64 " of rank %" PRId64
                 ", and so is records[%zu] of %s: give one recording's files, each once",
                 second->of->input->path, second->index, second->pass, second->rank, first->index,
                 first->of->input->path);
}

/* Every pass has a record of every rank: [T,R]. */
static mb_status arrange_records(recording *r) {
  int64_t rank_max = 0;

  qsort(r->records, r->n_records, sizeof *r->records, compare_records);
  for (size_t i = 0; i < r->n_records; i++) {
    const record *now = &r->records[i];
    rank_max = now->rank > rank_max ? now->rank : rank_max;
    if (i > 0 && now->pass == now[-1].pass && now->rank == now[-1].rank) {
      return fail_twice(now - 1, now);
    }
  }
  r->n_ranks = (size_t)rank_max + 1;
  for (size_t i = 0; i < r->n_records || i % r->n_ranks != 0; i++) {
    const record *now = i < r->n_records ? &r->records[i] : NULL;
    const record *of_pass = i % r->n_ranks == 0 ? now : &r->records[i - i % r->n_ranks];
    if (now == NULL || now->rank != (int64_t)(i % r->n_ranks) || now->pass != of_pass->pass) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: forward pass %" PRId64 " is there of rank %" PRId64
                     ", and not of rank %zu: give the files of all ranks 0 to %" PRId64,
                     of_pass->of->input->path, of_pass->pass, of_pass->rank, i % r->n_ranks,
                     rank_max);
    }
  }
  r->n_steps = r->n_records / r->n_ranks;
  return MB_OK;
}

/* The ids in all layers are 0 to E - 1, each on one slot at least. */
static mb_status check_map(recording *r) {
  const char *path = r->parts[0].input->path;
  bool *there = calloc(r->n_experts, sizeof *there);
  mb_status status =
      there != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its experts", path);

  for (size_t l = 0; status == MB_OK && l < r->n_layers; l++) {
    memset(there, 0, r->n_experts * sizeof *there);
    for (size_t p = 0; p < r->n_slots; p++) {
      there[r->map[l * r->n_slots + p]] = true;
    }
    for (size_t e = 0; status == MB_OK && e < r->n_experts; e++) {
      if (!there[e]) {
        status = MB_FAIL(MB_ERR_FORMAT,
                         "%s: last_physical_to_logical_map: layer %zu has no slot with expert %zu, "
                         "and experts should be 0 to %zu",
                         path, l, e, r->n_experts - 1);
      }
    }
  }
  free(there);
  return status;
}

/* Row by row; of the first file it is kept, of others compared. */
static mb_status read_map(recording *r, part *p) {
  static const char name[] = "last_physical_to_logical_map";
  bool first = p == r->parts;

  for (size_t l = 0; l < r->n_layers; l++) {
    MB_TRY(mb_torch_read_counts(p->file, name, p->map, l, 1, r->counts));
    for (size_t s = 0; s < r->n_slots; s++) {
      int32_t *expert = &r->map[l * r->n_slots + s];
      if (r->counts[s] >= r->n_slots) {
        return MB_FAIL(MB_ERR_FORMAT,
                       "%s: %s[%zu,%zu]: is expert %" PRIu32 ", and there are only %zu slots",
                       p->input->path, name, l, s, r->counts[s], r->n_slots);
      }
      if (!first && r->counts[s] != (uint32_t)*expert) {
        return MB_FAIL(MB_ERR_FORMAT,
                       "%s: %s[%zu,%zu]: is expert %" PRIu32 ", and expert %" PRId32
                       " in %s: the experts were moved between both, so import each on its own",
                       p->input->path, name, l, s, r->counts[s], *expert, r->parts[0].input->path);
      }
      *expert = (int32_t)r->counts[s];
      r->n_experts = r->counts[s] >= r->n_experts ? r->counts[s] + 1 : r->n_experts;
    }
  }
  return MB_OK;
}

static mb_status read_maps(recording *r) {
  const mb_tensor *first = r->parts[0].map;

  MB_TRY(mb_trace_sizes_check(r->parts[0].input->path, (size_t)first->dims[0],
                              (size_t)first->dims[1]));
  r->n_layers = (size_t)first->dims[0];
  r->n_slots = (size_t)first->dims[1];
  r->map = calloc(r->n_layers * r->n_slots, sizeof *r->map);
  r->counts = calloc(r->n_layers * r->n_slots, sizeof *r->counts);
  if (r->map == NULL || r->counts == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its map", r->parts[0].input->path);
  }
  for (size_t i = 0; i < r->n_parts; i++) {
    part *p = &r->parts[i];
    if (p->map->dims[0] != first->dims[0] || p->map->dims[1] != first->dims[1]) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: last_physical_to_logical_map: has %" PRIu64 " layers of %" PRIu64
                     " slots, and should have %zu of %zu as %s",
                     p->input->path, p->map->dims[0], p->map->dims[1], r->n_layers, r->n_slots,
                     r->parts[0].input->path);
    }
    MB_TRY(read_map(r, p));
  }
  return check_map(r);
}

static mb_status plan_records(recording *r) {
  MB_TRY(read_maps(r));
  MB_TRY(list_records(r));
  return arrange_records(r);
}

/* --- steps: load is [L,R,E] of all layers */

static void add(recording *r, size_t l, const record *of, size_t slot, uint64_t n, uint64_t *load) {
  size_t held = r->n_slots / r->n_ranks; /* by each rank */
  size_t expert = (size_t)r->map[l * r->n_slots + slot];

  load[(l * r->n_ranks + (size_t)of->rank) * r->n_experts + expert] += n;
  if (n > 0 && (r->n_slots % r->n_ranks != 0 || slot / held != (size_t)of->rank)) {
    r->foreign = true;
  }
}

static mb_status read_counts(recording *r, const record *of, uint64_t *load) {
  char name[64];

  (void)snprintf(name, sizeof name, "records[%zu]: global_physical_count", of->index);
  MB_TRY(mb_torch_read_counts(of->of->file, name, of->counts, 0, r->n_layers, r->counts));
  for (size_t l = 0; l < r->n_layers; l++) {
    for (size_t s = 0; s < r->n_slots; s++) {
      add(r, l, of, s, r->counts[l * r->n_slots + s], load);
    }
  }
  return MB_OK;
}

static mb_status need_ids(recording *r, const record *of, size_t n_tokens, size_t n_ids) {
  if (n_ids > r->n_ids) {
    int64_t *grown = realloc(r->ids, n_ids * sizeof *grown);
    if (grown == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu tokens", of->of->input->path, n_tokens);
    }
    r->ids = grown;
    r->n_ids = n_ids;
  }
  if (n_tokens > r->n_routed) {
    bool *grown = realloc(r->routed, n_tokens * sizeof *grown);
    if (grown == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu tokens", of->of->input->path, n_tokens);
    }
    r->routed = grown;
    r->n_routed = n_tokens;
  }
  return MB_OK;
}

/* One token in one layer. */
static mb_status add_token(recording *r, const record *of, size_t l, size_t token, size_t k,
                           const int64_t *ids, uint64_t *load) {
  int64_t n = 0;

  for (size_t i = 0; i < k; i++) {
    if (ids[i] < -1 || ids[i] >= (int64_t)r->n_slots) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: records[%zu]: topk_ids_of_layer[%zu,%zu,%zu]: is %" PRId64
                     ", and should be a slot from 0 to %zu, or -1 for none",
                     of->of->input->path, of->index, l, token, i, ids[i], r->n_slots - 1);
    }
    if (ids[i] >= 0) {
      add(r, l, of, (size_t)ids[i], 1, load);
      n++;
    }
  }
  r->routed[token] = r->routed[token] || n > 0;
  r->top_k = n > r->top_k ? n : r->top_k;
  return MB_OK;
}

static mb_status read_topk(recording *r, const record *of, uint64_t *load, uint32_t *tokens) {
  size_t n_tokens = (size_t)of->topk->dims[1];
  size_t k = (size_t)of->topk->dims[2];
  char name[64];

  /* Tokens that have no ids would be endless for nothing. */
  if (k == 0 || n_tokens == 0) {
    *tokens = 0;
    return MB_OK;
  }
  if (n_tokens > (size_t)UINT32_MAX) {
    return fail_record(of, "topk_ids_of_layer", "of fewer than 2^32 tokens");
  }
  (void)snprintf(name, sizeof name, "records[%zu]: topk_ids_of_layer", of->index);
  MB_TRY(mb_torch_check(of->of->file, name, of->topk));
  MB_TRY(need_ids(r, of, n_tokens, n_tokens * k));
  memset(r->routed, 0, n_tokens * sizeof *r->routed);
  for (size_t l = 0; l < r->n_layers; l++) {
    MB_TRY(mb_torch_read_ints(of->of->file, name, of->topk, l, 1, r->ids));
    for (size_t i = 0; i < n_tokens; i++) {
      MB_TRY(add_token(r, of, l, i, k, r->ids + i * k, load));
    }
  }
  *tokens = 0;
  for (size_t i = 0; i < n_tokens; i++) {
    *tokens += r->routed[i] ? 1 : 0;
  }
  r->prefills = r->prefills || (*tokens > 0 && of->prefills);
  r->decodes = r->decodes || (*tokens > 0 && of->decodes);
  return MB_OK;
}

static mb_status read_stat(recording *r, size_t t, uint64_t *load) {
  size_t row = 0;
  const part *p = find_stat(r, t, &row);

  MB_TRY(mb_torch_read_counts(p->file, "logical_count", p->stat, row, 1, r->counts));
  for (size_t i = 0; i < r->n_layers * r->n_experts; i++) {
    load[i] = r->counts[i];
  }
  return MB_OK;
}

/* @param load [L,R,E] @param tokens [R] */
static mb_status read_step(recording *r, size_t t, uint64_t *load, uint32_t *tokens) {
  if (r->mode == MODE_STAT) {
    return read_stat(r, t, load);
  }
  memset(load, 0, r->n_layers * r->n_ranks * r->n_experts * sizeof *load);
  for (size_t i = 0; i < r->n_ranks; i++) {
    const record *of = &r->records[t * r->n_ranks + i];
    MB_TRY(r->mode == MODE_PER_PASS ? read_counts(r, of, load)
                                    : read_topk(r, of, load, &tokens[i]));
  }
  return MB_OK;
}

/* --- all steps, twice */

/* Finds out which layers have experts, which steps load, and what else no file says. */
static mb_status survey(recording *r, mb_import *import, uint64_t *load, uint32_t *tokens) {
  size_t layer_size = r->n_ranks * r->n_experts;

  for (size_t t = 0; t < r->n_steps; t++) {
    MB_TRY(mb_import_poll(import));
    MB_TRY(read_step(r, t, load, tokens));
    r->empty[t] = true;
    for (size_t l = 0; l < r->n_layers; l++) {
      for (size_t i = 0; i < layer_size; i++) {
        if (load[l * layer_size + i] > 0) {
          r->used[l] = true;
          r->empty[t] = false;
        }
      }
    }
  }
  for (size_t l = 0; l < r->n_layers; l++) {
    if (r->used[l]) {
      r->layer_ids[r->n_used++] = (int32_t)l;
    }
  }
  if (r->n_used == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has no load in any of %zu steps: nothing was recorded",
                   r->parts[0].input->path, r->n_steps);
  }
  return MB_OK;
}

/* With DeepEP a rank counts what it receives, which does not tell where that came from. */
static bool counts_received(const recording *r) {
  return r->mode == MODE_PER_PASS && r->n_ranks > 1 && !r->foreign;
}

/* All ranks as one. */
static void merge_ranks(const recording *r, uint64_t *load) {
  for (size_t l = 0; l < r->n_layers; l++) {
    const uint64_t *from = load + l * r->n_ranks * r->n_experts;
    for (size_t e = 0; e < r->n_experts; e++) {
      uint64_t sum = 0;
      for (size_t i = 0; i < r->n_ranks; i++) {
        sum += from[i * r->n_experts + e];
      }
      load[l * r->n_experts + e] = sum;
    }
  }
}

static mb_status write_steps(recording *r, mb_import *import, uint64_t *load, uint32_t *tokens) {
  bool merge = counts_received(r);
  size_t layer_size = (merge ? 1 : r->n_ranks) * r->n_experts;

  for (size_t t = 0; t < r->n_steps; t++) {
    if (r->mode == MODE_STAT && r->empty[t]) {
      continue;
    }
    MB_TRY(read_step(r, t, load, tokens));
    if (merge) {
      merge_ranks(r, load);
    }
    for (size_t l = 0; l < r->n_used; l++) {
      memmove(load + l * layer_size, load + (size_t)r->layer_ids[l] * layer_size,
              layer_size * sizeof *load);
    }
    MB_TRY(mb_import_step(import, load, r->mode == MODE_PER_TOKEN ? tokens : NULL));
  }
  return MB_OK;
}

static mb_status check_received(const recording *r, const mb_import_options *options) {
  if (counts_received(r) &&
      (options->keep_sources || options->semantics == MB_SEMANTICS_ATTENTION_TP)) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: each rank has counted only what the %zu slots it holds have received, so "
                   "the ranks' loads are not by where tokens come from: import without %s",
                   r->parts[0].input->path, r->n_slots / r->n_ranks,
                   options->keep_sources ? "--keep-sources" : "--source-semantics attention_tp");
  }
  return MB_OK;
}

static void note_layers(const recording *r, mb_import *import) {
  char text[256] = "";
  size_t at = 0;

  for (size_t l = 0; l < r->n_layers && at + 16 < sizeof text; l++) {
    if (!r->used[l]) {
      at += (size_t)snprintf(text + at, sizeof text - at, "%s%zu", at > 0 ? ", " : "", l);
    }
  }
  if (at > 0) {
    mb_import_note(import, "layers %s have no load in any step: taken as dense, and left out",
                   text);
  }
}

static void note_found(const recording *r, mb_import *import) {
  size_t t = 0;

  note_layers(r, import);
  for (size_t i = 0; i < r->n_parts && r->mode == MODE_STAT; i++) {
    note_buffer(&r->parts[i], r->empty + t, import);
    t += (size_t)r->parts[i].stat->dims[0];
  }
  if (r->mode == MODE_STAT) {
    mb_import_note(import, "the recorder has summed all ranks: where they saw the same tokens, as "
                           "under attention TP, loads are as many times too large as there are "
                           "ranks");
    return;
  }
  mb_import_note(import,
                 "counts were taken per slot, and mapped to experts by the last map: that is right "
                 "where no rebalancing took place during the recording");
  if (counts_received(r)) {
    mb_import_note(import,
                   "each of %zu ranks has counted what its own slots received, as with DeepEP: "
                   "they are summed, and tell nothing of where tokens come from",
                   r->n_ranks);
  }
  for (t = 1; t < r->n_steps; t++) {
    const record *now = &r->records[t * r->n_ranks];
    int64_t before = now[-1].pass;
    if (now->pass != before + 1) {
      mb_import_note(import,
                     "%s: forward passes %" PRId64 " to %" PRId64
                     " are missing between two dumps: the steps around follow each other",
                     now->of->input->path, before + 1, now->pass - 1);
    }
  }
}

static mb_status begin(const recording *r, const mb_import_options *options, mb_import *import) {
  bool tokens = r->mode == MODE_PER_TOKEN;
  const char *phase = r->prefills && r->decodes ? "mixed" : r->prefills ? "prefill" : "decode";
  const mb_import_facts facts = {.n_layers = r->n_used,
                                 .n_experts = r->n_experts,
                                 .n_sources = counts_received(r) ? 1 : r->n_ranks,
                                 .layer_ids = r->layer_ids,
                                 .top_k = tokens ? r->top_k : 0,
                                 .phase = tokens ? phase : NULL,
                                 .counts = "from_physical",
                                 .has_tokens = tokens};

  MB_TRY(check_received(r, options));
  MB_TRY(mb_import_begin(import, r->parts[0].input, &facts));
  note_found(r, import);
  return MB_OK;
}

static mb_status allocate(recording *r) {
  r->empty = calloc(r->n_steps + 1, sizeof *r->empty);
  r->used = calloc(r->n_layers, sizeof *r->used);
  r->layer_ids = calloc(r->n_layers, sizeof *r->layer_ids);
  if (r->counts == NULL) {
    r->counts = calloc(r->n_layers * r->n_slots, sizeof *r->counts);
  }
  if (r->empty == NULL || r->used == NULL || r->layer_ids == NULL || r->counts == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its steps", r->parts[0].input->path);
  }
  return MB_OK;
}

static mb_status read_all(recording *r, const mb_import_options *options, mb_import *import) {
  MB_TRY(mb_trace_sizes_check(r->parts[0].input->path, r->n_layers * r->n_ranks, r->n_experts));
  MB_TRY(allocate(r));
  uint64_t *load = calloc(r->n_layers * r->n_ranks * r->n_experts, sizeof *load);
  uint32_t *tokens = calloc(r->n_ranks, sizeof *tokens);
  mb_status status =
      load != NULL && tokens != NULL
          ? survey(r, import, load, tokens)
          : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for a step", r->parts[0].input->path);

  if (status == MB_OK) {
    status = begin(r, options, import);
  }
  if (status == MB_OK) {
    status = write_steps(r, import, load, tokens);
  }
  free(load);
  free(tokens);
  return status;
}

static void close_recording(recording *r) {
  for (size_t i = 0; i < r->n_parts; i++) {
    mb_torch_close(r->parts[i].file);
  }
  free(r->parts);
  free(r->map);
  free(r->records);
  free(r->counts);
  free(r->ids);
  free(r->routed);
  free(r->used);
  free(r->empty);
  free(r->layer_ids);
}

static mb_status read_inputs(size_t n_inputs, const mb_input *inputs,
                             const mb_import_options *options, mb_import *import) {
  recording r = {.parts = calloc(n_inputs, sizeof *r.parts), .n_parts = n_inputs};

  assert(n_inputs >= 1);
  if (r.parts == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu inputs", n_inputs);
  }
  for (size_t i = 0; i < n_inputs; i++) {
    r.parts[i].input = &inputs[i];
  }
  mb_status status = open_parts(&r);
  if (status == MB_OK) {
    status = r.mode == MODE_STAT ? plan_stat(&r) : plan_records(&r);
  }
  if (status == MB_OK) {
    status = read_all(&r, options, import);
  }
  close_recording(&r);
  return status;
}

const mb_importer mb_importer_sglang = {
    .name = "sglang",
    .summary = "SGLang's expert distribution recorder, modes stat, per_pass and per_token: its .pt "
               "files, of all ranks",
    .recognise = mb_torch_recognise,
    .joint = true,
    .read = read_inputs,
};
