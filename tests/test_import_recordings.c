/* tests/test_import_recordings.c - recordings of other systems, whole, cut anywhere, and changed
 * anywhere: what is whole is read right, what is cut is refused, nothing crashes. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/recordings.h"
#include "tests/test.h"
#include "workloads/importer.h"
#include "workloads/trace.h"

enum { R = 2, T = 2, L = 2, E = 3, P = 4, N_FILES = 3 };

static const char output[] = "test_import_recordings.h5";
static char folder[] = "/tmp/moebal-recordings-XXXXXX";

/* Some system's recording of the same loads. */
typedef struct recording {
  const char *importer;
  bool in_folder; /* the input is the folder, not its files */
  size_t n;
  const char *names[N_FILES];
  blob files[N_FILES];
} recording;

/* Tokens of rank r in step t for expert e of layer l. */
static uint32_t load(size_t t, size_t r, size_t l, size_t e) {
  return (uint32_t)(1000 * t + 100 * r + 10 * l + e + 1);
}

/* ---- the same loads in three formats ---- */

/* Slot P - 1 is a second one of expert 0, on which nothing is. */
static const uint32_t slot_map[P] = {2, 0, 1, 0};

static blob sglang_file(size_t r) {
  const int32_t dims[2] = {L, P};
  char key[2] = "0";
  blob pickle = {0};
  zip_writer zip = {0};
  blob map = {0};

  put_text(&pickle, "\x80\x02}(");
  pickle_text(&pickle, "records");
  put_text(&pickle, "](");
  for (size_t t = 0; t < T; t++) {
    put_text(&pickle, "}(");
    pickle_text(&pickle, "forward_pass_id");
    pickle_int(&pickle, 40 + (int32_t)t);
    pickle_text(&pickle, "rank");
    pickle_int(&pickle, (int32_t)r);
    pickle_text(&pickle, "gatherer_key");
    pickle_text(&pickle, "primary");
    pickle_text(&pickle, "global_physical_count");
    key[0] = (char)('0' + t);
    pickle_tensor(&pickle, "IntStorage", key, 2, dims);
    put_text(&pickle, "u");
  }
  put_text(&pickle, "e");
  pickle_text(&pickle, "last_physical_to_logical_map");
  pickle_tensor(&pickle, "LongStorage", "9", 2, dims);
  put_text(&pickle, "u.");
  zip_put(&zip, "a/data.pkl", pickle.bytes, pickle.n);
  for (size_t t = 0; t < T; t++) {
    blob counts = {0};
    char name[] = "a/data/0";
    for (size_t i = 0; i < (size_t)L * P; i++) {
      put_number(&counts, i % P < E ? load(t, r, i / P, slot_map[i % P]) : 0, 4);
    }
    name[sizeof name - 2] = (char)('0' + t);
    zip_put(&zip, name, counts.bytes, counts.n);
    free_blob(&counts);
  }
  for (size_t i = 0; i < (size_t)L * P; i++) {
    put_number(&map, slot_map[i % P], 8);
  }
  zip_put(&zip, "a/data/9", map.bytes, map.n);
  free_blob(&map);
  free_blob(&pickle);
  return zip_finish(&zip);
}

static blob trtllm_file(size_t r) {
  char header[1024] = "{";
  size_t at = 1;
  blob data = {0};

  for (size_t i = 0; i < (size_t)T * L; i++) {
    at += (size_t)snprintf(
        header + at, sizeof header - at,
        "%s\"%zu_%zu\":{\"dtype\":\"I64\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]}",
        i > 0 ? "," : "", 99 + i / L, 3 + i % L, E, data.n, data.n + E * sizeof(int64_t));
    for (size_t e = 0; e < E; e++) {
      put_number(&data, load(i / L, r, i % L, e), 8);
    }
  }
  (void)snprintf(header + at, sizeof header - at, "}");
  blob file = safetensors_file(header, data.bytes, data.n);
  free_blob(&data);
  return file;
}

static void put_npy(zip_writer *zip, const char *name, const char *descr, const char *shape,
                    const void *data, size_t n) {
  blob array = npy_file(descr, shape, data, n);

  zip_put(zip, name, array.bytes, array.n);
  free_blob(&array);
}

static void put_npy_int(zip_writer *zip, const char *name, int32_t number) {
  put_npy(zip, name, "<i4", "()", &number, sizeof number);
}

/* Layers 4 and 5, counted from 1. */
static blob mcore_file(size_t r) {
  const int32_t layers[L] = {4, 5};
  const int32_t forwards[L] = {T, T};
  const int32_t group[R] = {6, 7};
  zip_writer zip = {0};
  blob loads = {0};

  for (size_t l = 0; l < L; l++) {
    for (size_t t = 0; t < T; t++) {
      for (size_t p = 0; p < P; p++) {
        put_number(&loads, p < E ? load(t, r, l, p) : 0, 4);
      }
    }
  }
  put_npy(&zip, "dump_version.npy", "|S21", "()", "mcore_ep_load_dump_v1", 21);
  put_npy(&zip, "capture_id.npy", "|S20", "()", "20251124_135959_pid1", 20);
  put_npy(&zip, "loads.npy", "<i4", "(2, 2, 4)", loads.bytes, loads.n);
  put_npy(&zip, "layer_numbers.npy", "<i4", "(2,)", layers, sizeof layers);
  put_npy(&zip, "forward_counts.npy", "<i4", "(2,)", forwards, sizeof forwards);
  put_npy(&zip, "ep_group_ranks.npy", "<i4", "(2,)", group, sizeof group);
  put_npy_int(&zip, "ep_rank.npy", (int32_t)r);
  put_npy_int(&zip, "ep_size.npy", R);
  put_npy_int(&zip, "global_rank.npy", group[r]);
  put_npy_int(&zip, "num_global_physical_experts.npy", P);
  put_npy_int(&zip, "num_local_physical_experts.npy", P / R);
  free_blob(&loads);
  return zip_finish(&zip);
}

static recording make_sglang(void) {
  return (recording){.importer = "sglang",
                     .n = R,
                     .names = {"recorder_0.pt", "recorder_1.pt"},
                     .files = {sglang_file(0), sglang_file(1)}};
}

static recording make_trtllm(void) {
  static const char meta[] = "{\"num_experts\": 3, \"num_experts_per_token\": 2}";
  recording r = {.importer = "trtllm",
                 .in_folder = true,
                 .n = R + 1,
                 .names = {"rank0.safetensors", "rank1.safetensors", "meta_info.json"},
                 .files = {trtllm_file(0), trtllm_file(1)}};

  put_text(&r.files[R], meta);
  return r;
}

static recording make_mcore(void) {
  return (recording){.importer = "mcore",
                     .in_folder = true,
                     .n = R,
                     .names = {"mcore_ep_loads_rank6_a.npz", "mcore_ep_loads_rank7_a.npz"},
                     .files = {mcore_file(0), mcore_file(1)}};
}

static void free_recording(recording *r) {
  for (size_t i = 0; i < r->n; i++) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, r->names[i]);
    (void)unlink(path);
    free_blob(&r->files[i]);
  }
}

/* ---- importing ---- */

static void write_part(const recording *r, size_t i, size_t n) {
  char path[256];

  (void)snprintf(path, sizeof path, "%s/%s", folder, r->names[i]);
  write_file(path, r->files[i].bytes, n);
}

/* Whether it is to be stopped before its first step. */
static mb_status on_progress(void *context, size_t n_steps) {
  const bool *stop = context;

  return *stop && n_steps == 0 ? MB_ERR_CANCELLED : MB_OK;
}

static bool stop;

/* What lies in the folder. @param to NULL: only looked at. */
static mb_status import_folder(const recording *r, const char *to) {
  const mb_import_options options = {
      .top_k = 2, .phase = "decode", .created_by = "test", .keep_sources = true};
  const mb_importer *importer = mb_importer_find(r->importer);
  size_t n = r->in_folder ? 1 : r->n;
  char paths[N_FILES][256];
  mb_input inputs[N_FILES];
  mb_import *import = NULL;
  mb_import_summary summary;

  CU_ASSERT_PTR_NOT_NULL_FATAL(importer);
  for (size_t i = 0; i < n; i++) {
    (void)snprintf(paths[i], sizeof paths[i], "%s/%s", folder, r->in_folder ? "" : r->names[i]);
    CHECK_OK(mb_input_open(paths[i], &inputs[i]));
  }
  if (to != NULL) {
    CU_ASSERT_PTR_EQUAL(mb_importer_recognise(&inputs[0]), importer);
  }
  CHECK_OK(mb_import_create(to, r->importer, &options, &import));
  CU_ASSERT_PTR_NOT_NULL_FATAL(import);
  mb_import_watch(import, on_progress, &stop);
  mb_status status = mb_importer_read(importer, n, inputs, &options, import);
  if (status == MB_OK) {
    status = mb_import_finish(import, &summary);
  }
  mb_import_destroy(import);
  for (size_t i = 0; i < n; i++) {
    mb_input_close(&inputs[i]);
  }
  return status;
}

static void check_trace(size_t n_experts, const int32_t *layer_ids) {
  mb_trace *trace = NULL;
  uint32_t sum[L * P];

  CHECK_OK(mb_trace_open(output, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  const mb_trace_info *info = mb_trace_get_info(trace);
  CU_ASSERT_FATAL(info->n_steps == T && info->n_layers == L && info->n_experts == n_experts);
  CU_ASSERT_EQUAL_FATAL(info->n_sources, R);
  CU_ASSERT(memcmp(info->layer_ids, layer_ids, L * sizeof *layer_ids) == 0);
  for (size_t t = 0; t < T; t++) {
    CHECK_OK(mb_trace_read(trace, t, 1, sum));
    for (size_t i = 0; i < L * n_experts; i++) {
      size_t l = i / n_experts;
      size_t e = i % n_experts;
      CU_ASSERT_EQUAL(sum[i], e < E ? load(t, 0, l, e) + load(t, 1, l, e) : 0);
    }
  }
  mb_trace_destroy(trace);
  (void)unlink(output);
}

/* ---- whole, cut and changed ---- */

static void write_all(const recording *r) {
  for (size_t i = 0; i < r->n; i++) {
    write_part(r, i, r->files[i].n);
  }
}

static void check_whole(recording r, size_t n_experts, const int32_t *layer_ids) {
  write_all(&r);
  CHECK_OK(import_folder(&r, output));
  check_trace(n_experts, layer_ids);
  free_recording(&r);
}

/* Who waits for a long recording to be looked through can stop that. */
static void check_stopped(recording r) {
  write_all(&r);
  stop = true;
  CU_ASSERT_EQUAL(import_folder(&r, NULL), MB_ERR_CANCELLED);
  stop = false;
  free_recording(&r);
}

static void test_stopped(void) {
  check_stopped(make_sglang());
  check_stopped(make_trtllm());
  check_stopped(make_mcore());
}

static void test_whole(void) {
  check_whole(make_sglang(), E, (const int32_t[]){0, 1});
  check_whole(make_trtllm(), E, (const int32_t[]){3, 4});
  check_whole(make_mcore(), P, (const int32_t[]){3, 4});
}

/* A file that is cut off is refused in one line, whichever, and wherever. */
static void check_cut(recording r) {
  write_all(&r);
  for (size_t i = 0; i < r.n; i++) {
    for (size_t n = 0; n < r.files[i].n; n++) {
      write_part(&r, i, n);
      CU_ASSERT_NOT_EQUAL(import_folder(&r, NULL), MB_OK);
      CU_ASSERT(strlen(mb_error_message()) > 10);
    }
    write_part(&r, i, r.files[i].n);
  }
  CHECK_OK(import_folder(&r, NULL));
  free_recording(&r);
}

static void test_cut(void) {
  check_cut(make_sglang());
  check_cut(make_trtllm());
  check_cut(make_mcore());
}

/* A byte that is another is found out or not, but never harms. */
static void check_changed(recording r) {
  static const unsigned char other[] = {0xff, 0x01};

  write_all(&r);
  for (size_t i = 0; i < r.n; i++) {
    for (size_t at = 0; at < r.files[i].n; at++) {
      unsigned char was = r.files[i].bytes[at];
      for (size_t k = 0; k < sizeof other; k++) {
        r.files[i].bytes[at] = (unsigned char)(was ^ other[k]);
        write_part(&r, i, r.files[i].n);
        (void)import_folder(&r, NULL);
      }
      r.files[i].bytes[at] = was;
    }
    write_part(&r, i, r.files[i].n);
  }
  CHECK_OK(import_folder(&r, NULL));
  free_recording(&r);
}

static void test_changed(void) {
  check_changed(make_sglang());
  check_changed(make_trtllm());
  check_changed(make_mcore());
}

int main(void) {
  CU_TestInfo tests[] = {{"whole", test_whole},
                         {"stopped early", test_stopped},
                         {"cut anywhere", test_cut},
                         {"changed anywhere", test_changed},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    perror(folder);
    return EXIT_FAILURE;
  }
  int status = run_suite("import_recordings", tests);
  (void)rmdir(folder);
  return status;
}
