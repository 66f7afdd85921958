/* workloads/trace.c - opening and reading trace files. */
#include "workloads/trace.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/chunk_reader.h"
#include "workloads/source.h"
#include "workloads/trace_file.h"
#include "workloads/trace_info.h"
#include "workloads/trace_probe.h"

static const size_t CACHE_BYTES = (size_t)64 << 20;
static const size_t CACHE_BYTES_MAX = (size_t)256 << 20;
static const size_t SCRATCH_BYTES = (size_t)4 << 20;

struct mb_trace {
  char *path;
  hid_t file;
  mb_h5_dataset load;
  mb_chunk_reader *chunks; /* of /load; NULL where it is HDF5's to read */
  mb_h5_dataset tokens;    /* zeros without /tokens */
  mb_trace_info info;
};

/* Whether the path is a file that may be read, before anything is made of its contents. */
static mb_status check_file(const char *path) {
  struct stat about;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (file < 0 || fstat(file, &about) != 0) {
    int why = errno;
    if (file >= 0) {
      (void)close(file);
    }
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(why));
  }
  (void)close(file);
  if (!S_ISREG(about.st_mode)) {
    return MB_FAIL(MB_ERR_IO, "%s: is not a file", path);
  }
  return MB_OK;
}

static mb_status check_format(const char *path, hid_t file) {
  char *format = NULL;
  int64_t version = 0;

  MB_TRY(mb_h5_text(path, file, "format", &format));
  bool good = format != NULL && strcmp(format, "moebal-trace") == 0;
  bool is_results = format != NULL && strcmp(format, "moebal-results") == 0;
  free(format);
  if (is_results) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a results file, not a trace; `moebal report` shows it",
                   path);
  }
  if (!good) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: is HDF5, but not a trace: its attribute format is not \"moebal-trace\"",
                   path);
  }
  MB_TRY(mb_h5_ints(path, file, "version", 1, &version));
  if (version < 1) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute version: is %" PRId64 ", but should be %d", path,
                   version, MB_TRACE_VERSION);
  }
  if (version > MB_TRACE_VERSION) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: is moebal-trace version %" PRId64 "; this moebal reads version %d", path,
                   version, MB_TRACE_VERSION);
  }
  return MB_OK;
}

typedef struct format_errand {
  const char *path, *format;
} format_errand;

/* In a child. */
static mb_status compare_format(void *data) {
  const format_errand *asked = data;
  char *format = NULL;
  hid_t file = H5Fopen(asked->path, H5F_ACC_RDONLY, H5P_DEFAULT);

  if (file < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is not HDF5", asked->path);
  }
  mb_status status = mb_h5_text(asked->path, file, "format", &format);
  (void)H5Fclose(file);
  MB_TRY(status);
  bool same = format != NULL && strcmp(format, asked->format) == 0;
  free(format);
  return same ? MB_OK : MB_FAIL(MB_ERR_FORMAT, "%s: is no %s", asked->path, asked->format);
}

bool mb_file_has_format(const char *path, const char *format) {
  format_errand asked = {path, format};

  return check_file(path) == MB_OK &&
         mb_probe(path, MB_PROBE_OPEN, compare_format, &asked) == MB_OK;
}

/* ---- attributes ---- */

static mb_status read_required(const char *path, hid_t file, const char *name, const char **text) {
  char *value = NULL;

  MB_TRY(mb_h5_text(path, file, name, &value));
  if (value == NULL) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s is missing", path, name);
  }
  *text = value;
  return MB_OK;
}

/* A text that may be missing or empty, and otherwise is one of two. */
static mb_status read_optional(const char *path, hid_t file, const char *name, const char *one,
                               const char *other, const char **text) {
  char *value = NULL;

  MB_TRY(mb_h5_text(path, file, name, &value));
  *text = value != NULL ? value : calloc(1, 1);
  if (*text == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for attribute %s", name);
  }
  if (value != NULL && value[0] != '\0' && strcmp(value, one) != 0 && strcmp(value, other) != 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s: is \"%.64s\", but should be %s or %s", path,
                   name, value, one, other);
  }
  return MB_OK;
}

static mb_status read_int32(const char *path, hid_t file, const char *name, int32_t *value) {
  int64_t wide = 0;

  MB_TRY(mb_h5_ints(path, file, name, 1, &wide));
  if (wide < INT32_MIN || wide > INT32_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s: is %" PRId64 ", far out of range", path, name,
                   wide);
  }
  *value = (int32_t)wide;
  return MB_OK;
}

static mb_status read_layer_ids(const char *path, hid_t file, mb_trace_info *info) {
  int64_t *wide = malloc(info->n_layers * sizeof *wide);
  int32_t *ids = malloc(info->n_layers * sizeof *ids);
  mb_status status = MB_OK;

  if (wide == NULL || ids == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the ids of %zu layers", info->n_layers);
  } else {
    status = mb_h5_ints(path, file, "layer_ids", info->n_layers, wide);
  }

  for (size_t l = 0; status == MB_OK && l < info->n_layers; l++) {
    if (wide[l] < 0 || wide[l] > INT32_MAX) {
      status =
          MB_FAIL(MB_ERR_FORMAT,
                  "%s: attribute layer_ids: [%zu] is %" PRId64 ", but should be 0 to 2147483647",
                  path, l, wide[l]);
      break;
    }
    ids[l] = (int32_t)wide[l];
  }
  free(wide);
  info->layer_ids = ids;
  return status;
}

static mb_status read_phase(const char *path, hid_t file, mb_phase *phase) {
  const char *name = NULL;

  MB_TRY(read_required(path, file, "phase", &name));
  mb_status status = MB_OK;
  if (!mb_phase_find(name, phase)) {
    status =
        MB_FAIL(MB_ERR_FORMAT,
                "%s: attribute phase: is \"%.64s\", but should be prefill, decode, mixed or train",
                path, name);
  }
  free((void *)name);
  return status;
}

/* The digest is 32 lower-case hex digits. */
static mb_status read_digest(const char *path, hid_t file, char digest[MB_DIGEST_SIZE]) {
  char *text = NULL;

  MB_TRY(mb_h5_text(path, file, "load_xxh3", &text));
  mb_status status = MB_OK;
  if (text != NULL) {
    if (strlen(text) == MB_DIGEST_SIZE - 1 &&
        strspn(text, "0123456789abcdef") == MB_DIGEST_SIZE - 1) {
      memcpy(digest, text, MB_DIGEST_SIZE);
    } else {
      status =
          MB_FAIL(MB_ERR_FORMAT,
                  "%s: attribute load_xxh3: is \"%.64s\", but should be 32 lower-case hex digits",
                  path, text);
    }
  }
  free(text);
  return status;
}

static mb_status read_steps_per_record(const char *path, hid_t file, int64_t *steps) {
  bool found = false;

  MB_TRY(mb_h5_int(path, file, "steps_per_record", steps, &found));
  if (found && *steps < 1) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: attribute steps_per_record: is %" PRId64 ", but should be 1 or more", path,
                   *steps);
  }
  return MB_OK;
}

static mb_status read_attributes(const char *path, hid_t file, mb_trace_info *info) {
  MB_TRY(read_required(path, file, "model", &info->model));
  MB_TRY(read_int32(path, file, "top_k", &info->top_k));
  MB_TRY(read_int32(path, file, "num_groups", &info->n_groups));
  MB_TRY(read_layer_ids(path, file, info));
  MB_TRY(read_phase(path, file, &info->phase));
  MB_TRY(read_required(path, file, "source", &info->source));
  MB_TRY(read_required(path, file, "created_by", &info->created_by));
  MB_TRY(read_digest(path, file, info->load_xxh3));
  MB_TRY(read_optional(path, file, "padding", "excluded", "included", &info->padding));
  MB_TRY(read_optional(path, file, "counts", "logical", "from_physical", &info->counts));
  MB_TRY(read_optional(path, file, "source_semantics", "attention_dp", "attention_tp",
                       &info->source_semantics));
  MB_TRY(read_steps_per_record(path, file, &info->steps_per_record));
  return mb_trace_info_check(path, info);
}

/* ---- optional objects ---- */

/* Opens an optional dataset and compares its dimensions with those given; 0 fits any. */
static mb_status check_optional(const mb_trace *trace, const char *name, bool real, int rank,
                                const hsize_t *wanted, mb_h5_dataset *dataset) {
  MB_TRY(mb_h5_open(trace->path, trace->file, name, rank, dataset));
  if ((dataset->number == MB_NUMBER_REAL) != real) {
    mb_h5_close(dataset);
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: should hold %s", trace->path, name,
                   real ? "floating-point numbers" : "integers");
  }
  for (int i = 0; i < rank; i++) {
    if (wanted[i] != 0 && dataset->dims[i] != wanted[i]) {
      unsigned long long n = dataset->dims[i];
      mb_h5_close(dataset);
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: /%s: dimension %d has size %llu, but by /load and the others it should "
                     "have %llu",
                     trace->path, name, i, n, (unsigned long long)wanted[i]);
    }
  }
  return MB_OK;
}

static mb_status check_present(mb_trace *trace, const char *name, bool real, int rank,
                               const hsize_t *wanted, unsigned object) {
  mb_h5_dataset dataset;

  if (!mb_h5_has(trace->file, name)) {
    return MB_OK;
  }
  MB_TRY(check_optional(trace, name, real, rank, wanted, &dataset));
  trace->info.objects |= object;
  mb_h5_close(&dataset);
  return MB_OK;
}

static mb_status check_by_source(mb_trace *trace) {
  const mb_trace_info *info = &trace->info;
  mb_h5_dataset dataset = {0};

  if (mb_h5_has(trace->file, "load_by_source")) {
    MB_TRY(check_optional(trace, "load_by_source", false, 4,
                          (hsize_t[]){info->n_steps, info->n_layers, 0, info->n_experts},
                          &dataset));
    trace->info.objects |= MB_TRACE_LOAD_BY_SOURCE;
    trace->info.n_sources = (size_t)dataset.dims[2];
    mb_h5_close(&dataset);
  }
  if (mb_h5_has(trace->file, "tokens")) {
    MB_TRY(check_optional(trace, "tokens", false, 2,
                          (hsize_t[]){info->n_steps, trace->info.n_sources}, &trace->tokens));
    trace->info.objects |= MB_TRACE_TOKENS;
    trace->info.n_sources = (size_t)trace->tokens.dims[1];
  }
  return MB_OK;
}

static mb_status check_topk(mb_trace *trace) {
  const mb_trace_info *info = &trace->info;
  mb_h5_dataset topk;

  if (!mb_h5_has(trace->file, "topk")) {
    return MB_OK;
  }
  MB_TRY(check_optional(trace, "topk", false, 3,
                        (hsize_t[]){0, info->n_layers, (hsize_t)info->top_k}, &topk));
  hsize_t n_tokens = topk.dims[0];
  mb_h5_close(&topk);
  if (!mb_h5_has(trace->file, "topk_offset")) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has /topk, but no /topk_offset", trace->path);
  }
  MB_TRY(check_present(trace, "topk_offset", false, 1, (hsize_t[]){info->n_steps + 1}, 0));
  return check_present(trace, "topk_source", false, 1, (hsize_t[]){n_tokens}, 0);
}

static mb_status check_objects(mb_trace *trace) {
  hsize_t n_steps = trace->info.n_steps;

  MB_TRY(check_present(trace, "step_time", true, 1, &n_steps, MB_TRACE_STEP_TIME));
  MB_TRY(check_present(trace, "step_phase", false, 1, &n_steps, MB_TRACE_STEP_PHASE));
  MB_TRY(check_by_source(trace));
  MB_TRY(check_topk(trace));
  if (mb_h5_has(trace->file, "topk")) {
    trace->info.objects |= MB_TRACE_TOPK;
  }
  return MB_OK;
}

/* ---- opening ---- */

typedef struct cache {
  size_t bytes, slots;
} cache;

/* Compressed chunks that span few experts and many steps have to stay unpacked until all of their
 * steps are read; without room for a row of them, each would be unpacked again for every read. */
static mb_status plan_cache(const mb_trace *trace, hid_t plist, hid_t type, cache *plan) {
  const hsize_t *dims = trace->load.dims;
  hsize_t chunk[3];

  *plan = (cache){CACHE_BYTES, 12421};
  if (H5Pget_layout(plist) != H5D_CHUNKED || H5Pget_nfilters(plist) <= 0 ||
      H5Pget_chunk(plist, 3, chunk) != 3) {
    return MB_OK;
  }
  /* mb_h5_open() and mb_trace_sizes_check() have seen to it that nothing overflows. */
  uint64_t n_chunks = ((dims[1] - 1) / chunk[1] + 1) * ((dims[2] - 1) / chunk[2] + 1);
  uint64_t bytes = n_chunks * chunk[0] * chunk[1] * chunk[2] * H5Tget_size(type);
  if (bytes > CACHE_BYTES_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /load: its compressed chunks of %llu x %llu x %llu loads would take %llu "
                   "MiB of memory to read; rewrite it with `h5repack -l /load:CHUNK=16x%llux%llu`",
                   trace->path, (unsigned long long)chunk[0], (unsigned long long)chunk[1],
                   (unsigned long long)chunk[2], (unsigned long long)(bytes >> 20),
                   (unsigned long long)dims[1], (unsigned long long)dims[2]);
  }
  /* HDF5 finds a chunk's slot by its place, rounded up to powers of two in both dimensions: with
   * four slots a chunk, none of a row drives out another. */
  plan->bytes = bytes > CACHE_BYTES ? (size_t)bytes : CACHE_BYTES;
  plan->slots = 4 * n_chunks > 12421 ? (size_t)(4 * n_chunks + 1) : 12421;
  return MB_OK;
}

/* Opened anew with a cache that holds the chunks of some steps. */
static mb_status enlarge_cache(mb_trace *trace) {
  hid_t layout = H5Dget_create_plist(trace->load.id);
  hid_t type = H5Dget_type(trace->load.id);
  hid_t plist = H5Pcreate(H5P_DATASET_ACCESS);
  cache plan;

  mb_status status = plan_cache(trace, layout, type, &plan);
  hid_t id = -1;
  if (status == MB_OK && H5Pset_chunk_cache(plist, plan.slots, plan.bytes, 1.0) >= 0) {
    id = H5Dopen2(trace->file, "load", plist);
  }
  (void)H5Pclose(plist);
  (void)H5Tclose(type);
  (void)H5Pclose(layout);
  MB_TRY(status);
  if (id < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /load: damaged, HDF5 cannot read it", trace->path);
  }
  (void)H5Dclose(trace->load.id);
  trace->load.id = id;
  return MB_OK;
}

static mb_status open_load(mb_trace *trace) {
  MB_TRY(mb_h5_open(trace->path, trace->file, "load", 3, &trace->load));
  const hsize_t *dims = trace->load.dims;
  if (dims[0] < 1 || dims[0] > ((hsize_t)1 << 40)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /load: has %llu steps, but should have at least 1",
                   trace->path, (unsigned long long)dims[0]);
  }
  MB_TRY(mb_trace_sizes_check(trace->path, (size_t)dims[1], (size_t)dims[2]));
  trace->info.n_steps = (size_t)dims[0];
  trace->info.n_layers = (size_t)dims[1];
  trace->info.n_experts = (size_t)dims[2];
  MB_TRY(enlarge_cache(trace));
  return mb_chunk_reader_open(trace->path, "load", trace->load.id, &trace->chunks);
}

static mb_status open_all(mb_trace *trace) {
  errno = 0;
  trace->file = H5Fopen(trace->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (trace->file < 0 && errno == EAGAIN) {
    return MB_FAIL(MB_ERR_IO, "%s: another program is writing it", trace->path);
  }
  if (trace->file < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is not HDF5, or damaged or cut off at the end", trace->path);
  }
  MB_TRY(check_format(trace->path, trace->file));
  MB_TRY(open_load(trace));
  MB_TRY(read_attributes(trace->path, trace->file, &trace->info));
  return check_objects(trace);
}

mb_status mb_trace_open(const char *path, mb_trace **trace) {
  assert(path != NULL && trace != NULL);
  MB_TRY(check_file(path));
  MB_TRY(mb_trace_probe(path, MB_PROBE_OPEN_BYTES, MB_PROBE_OPEN));
  mb_trace *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  made->file = -1;
  made->path = strdup(path);
  mb_status status = MB_OK;
  if (made->path == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  } else {
    status = open_all(made);
  }
  if (status != MB_OK) {
    mb_trace_destroy(made);
    return status;
  }
  *trace = made;
  return MB_OK;
}

void mb_trace_destroy(mb_trace *trace) {
  if (trace == NULL) {
    return;
  }
  mb_chunk_reader_close(trace->chunks);
  mb_h5_close(&trace->load);
  mb_h5_close(&trace->tokens);
  if (trace->file >= 0) {
    (void)H5Fclose(trace->file);
  }
  mb_trace_info_fini(&trace->info);
  free(trace->path);
  free(trace);
}

const mb_trace_info *mb_trace_get_info(const mb_trace *trace) {
  return &trace->info;
}

/* ---- reading ---- */

/* Reads n rows of a dataset from `first` on, converted to `type`. */
static mb_status read_rows(const mb_trace *trace, const char *name, const mb_h5_dataset *dataset,
                           size_t first, size_t n, hid_t type, void *values) {
  hsize_t start[4] = {first};
  hsize_t count[4];

  memcpy(count, dataset->dims, sizeof count);
  count[0] = n;
  hid_t rows = H5Screate_simple(dataset->rank, count, NULL);
  bool good = rows >= 0 &&
              H5Sselect_hyperslab(dataset->space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset->id, type, rows, dataset->space, H5P_DEFAULT, values) >= 0;
  (void)H5Sclose(rows);
  if (!good) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: steps %zu to %zu are damaged and cannot be read",
                   trace->path, name, first, first + n - 1);
  }
  return MB_OK;
}

/* A load that is not a uint32, and where it stands. */
static mb_status fail_load(const mb_trace *trace, size_t first, size_t at, double value) {
  size_t n_layers = trace->info.n_layers;
  size_t n_experts = trace->info.n_experts;

  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: /load: step %zu, layer %zu, expert %zu is %.17g, but should be a whole "
                 "number from 0 to 4294967295",
                 trace->path, first + at / (n_layers * n_experts), at / n_experts % n_layers,
                 at % n_experts, value);
}

static mb_status convert_ints(const mb_trace *trace, size_t first, size_t n, const int64_t *from,
                              uint32_t *load) {
  for (size_t x = 0; x < n; x++) {
    if (from[x] < 0 || from[x] > UINT32_MAX) {
      return fail_load(trace, first, x, (double)from[x]);
    }
    load[x] = (uint32_t)from[x];
  }
  return MB_OK;
}

static mb_status convert_reals(const mb_trace *trace, size_t first, size_t n, const double *from,
                               uint32_t *load) {
  for (size_t x = 0; x < n; x++) {
    /* Written so that NaN is refused too. */
    if (!(from[x] >= 0 && from[x] <= UINT32_MAX) || from[x] != floor(from[x])) {
      return fail_load(trace, first, x, from[x]);
    }
    load[x] = (uint32_t)from[x];
  }
  return MB_OK;
}

/* Some steps at a time, through a buffer of eight bytes a load. */
static mb_status read_converted(mb_trace *trace, size_t first, size_t n, uint32_t *load) {
  size_t step_size = trace->info.n_layers * trace->info.n_experts;
  size_t n_most = SCRATCH_BYTES / (step_size * sizeof(int64_t)) + 1;
  bool real = trace->load.number == MB_NUMBER_REAL;
  mb_status status = MB_OK;
  void *scratch = malloc((n < n_most ? n : n_most) * step_size * sizeof(int64_t));

  if (scratch == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read steps of %s", trace->path);
  }
  for (size_t done = 0; done < n && status == MB_OK; done += n_most) {
    size_t n_now = n - done < n_most ? n - done : n_most;
    uint32_t *to = load + done * step_size;
    status = read_rows(trace, "load", &trace->load, first + done, n_now,
                       real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, scratch);
    if (status == MB_OK) {
      status = real ? convert_reals(trace, first + done, n_now * step_size, scratch, to)
                    : convert_ints(trace, first + done, n_now * step_size, scratch, to);
    }
  }
  free(scratch);
  return status;
}

mb_status mb_trace_read_plainly(mb_trace *trace, size_t first, size_t n, uint32_t *load) {
  assert(trace != NULL && first <= trace->info.n_steps && n <= trace->info.n_steps - first);
  if (n == 0) {
    return MB_OK;
  }
  if (trace->load.number == MB_NUMBER_UINT32) {
    return read_rows(trace, "load", &trace->load, first, n, H5T_NATIVE_UINT32, load);
  }
  return read_converted(trace, first, n, load);
}

mb_status mb_trace_read(mb_trace *trace, size_t first, size_t n, uint32_t *load) {
  assert(trace != NULL && first <= trace->info.n_steps && n <= trace->info.n_steps - first);
  return trace->chunks != NULL ? mb_chunk_reader_read(trace->chunks, first, n, load)
                               : mb_trace_read_plainly(trace, first, n, load);
}

mb_status mb_trace_read_tokens(mb_trace *trace, size_t first, size_t n, uint64_t *tokens) {
  size_t n_sources = trace->info.n_sources;

  assert((trace->info.objects & MB_TRACE_TOKENS) != 0 && first <= trace->info.n_steps &&
         n <= trace->info.n_steps - first);
  if (n == 0 || n_sources == 0) {
    memset(tokens, 0, n * sizeof *tokens);
    return MB_OK;
  }
  uint32_t *by_source = calloc(n * n_sources, sizeof *by_source);
  if (by_source == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read tokens of %s", trace->path);
  }
  mb_status status =
      read_rows(trace, "tokens", &trace->tokens, first, n, H5T_NATIVE_UINT32, by_source);
  for (size_t t = 0; t < n && status == MB_OK; t++) {
    tokens[t] = 0;
    for (size_t r = 0; r < n_sources; r++) {
      tokens[t] += by_source[t * n_sources + r];
    }
  }
  free(by_source);
  return status;
}

typedef struct object_type {
  mb_trace_object object;
  int rank;
  const char *name;
  int64_t most; /* largest value; 0: any number, stored as double */
  size_t size;  /* bytes of a value in memory */
} object_type;

static const object_type object_types[] = {
    {MB_TRACE_STEP_TIME, 1, "step_time", 0, sizeof(double)},
    {MB_TRACE_STEP_PHASE, 1, "step_phase", MB_PHASE_TRAIN, sizeof(uint8_t)},
    {MB_TRACE_LOAD_BY_SOURCE, 4, "load_by_source", UINT32_MAX, sizeof(uint32_t)},
    {MB_TRACE_TOKENS, 2, "tokens", UINT32_MAX, sizeof(uint32_t)},
};

static const object_type *find_object(mb_trace_object object) {
  const object_type *found = object_types;

  while (found->object != object) {
    found++;
  }
  return found;
}

static void put_value(const object_type *about, size_t i, int64_t value, void *values) {
  if (about->size == sizeof(uint8_t)) {
    ((uint8_t *)values)[i] = (uint8_t)value;
  } else {
    ((uint32_t *)values)[i] = (uint32_t)value;
  }
}

/* One step's values, by way of int64_t: HDF5 itself would clip what does not fit. */
static mb_status read_checked(const mb_trace *trace, const object_type *about,
                              const mb_h5_dataset *dataset, size_t step, size_t step_size,
                              int64_t *scratch, void *values) {
  MB_TRY(read_rows(trace, about->name, dataset, step, 1, H5T_NATIVE_INT64, scratch));
  for (size_t i = 0; i < step_size; i++) {
    if (scratch[i] < 0 || scratch[i] > about->most) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: /%s: step %zu has %" PRId64 ", but should have 0 to %" PRId64,
                     trace->path, about->name, step, scratch[i], about->most);
    }
    put_value(about, i, scratch[i], values);
  }
  return MB_OK;
}

static mb_status read_ints(const mb_trace *trace, const object_type *about,
                           const mb_h5_dataset *dataset, size_t first, size_t n, void *values) {
  size_t step_size = 1;
  mb_status status = MB_OK;

  for (int i = 1; i < about->rank; i++) {
    step_size *= (size_t)dataset->dims[i];
  }
  int64_t *scratch = malloc((step_size > 0 ? step_size : 1) * sizeof *scratch);
  if (scratch == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read /%s of %s", about->name, trace->path);
  }
  for (size_t t = 0; t < n && status == MB_OK; t++) {
    status = read_checked(trace, about, dataset, first + t, step_size, scratch,
                          (char *)values + t * step_size * about->size);
  }
  free(scratch);
  return status;
}

mb_status mb_trace_read_object(mb_trace *trace, mb_trace_object object, size_t first, size_t n,
                               void *values) {
  const object_type *about = find_object(object);
  mb_h5_dataset dataset;

  assert((trace->info.objects & object) != 0 && first <= trace->info.n_steps &&
         n <= trace->info.n_steps - first);
  if (n == 0) {
    return MB_OK;
  }
  MB_TRY(mb_h5_open(trace->path, trace->file, about->name, about->rank, &dataset));
  mb_status status = MB_OK;
  if (about->most == 0) {
    status = read_rows(trace, about->name, &dataset, first, n, H5T_NATIVE_DOUBLE, values);
  } else if (dataset.number == MB_NUMBER_UINT32 && about->size == sizeof(uint32_t)) {
    status = read_rows(trace, about->name, &dataset, first, n, H5T_NATIVE_UINT32, values);
  } else {
    status = read_ints(trace, about, &dataset, first, n, values);
  }
  mb_h5_close(&dataset);
  return status;
}

/* ---- verifying ---- */

static mb_status read_through(mb_source *source) {
  const mb_trace_info *info = mb_source_get_info(source);
  size_t step_size = info->n_layers * info->n_experts;
  size_t n_most = SCRATCH_BYTES / (step_size * sizeof(uint32_t)) + 1;
  mb_status status = MB_OK;
  uint32_t *load = malloc(n_most * step_size * sizeof *load);

  if (load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read steps");
  }
  for (size_t t = 0; t < info->n_steps && status == MB_OK; t += n_most) {
    status = mb_source_read(source, info->n_steps - t < n_most ? info->n_steps - t : n_most, load);
  }
  free(load);
  return status;
}

mb_status mb_trace_verify(const char *path, char digest[MB_DIGEST_SIZE]) {
  mb_source *source = NULL;

  MB_TRY(check_file(path));
  MB_TRY(mb_trace_probe(path, MB_PROBE_VERIFY_BYTES, MB_PROBE_VERIFY));
  MB_TRY(mb_source_open_trace(path, &source));
  mb_status status = read_through(source);
  if (status == MB_OK) {
    mb_source_digest(source, digest);
  }
  mb_source_destroy(source);
  return status;
}
