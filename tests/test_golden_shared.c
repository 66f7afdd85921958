/* tests/test_golden_shared.c - golden.h5 of the shared folder, bit for bit. */
#include <hdf5.h>
#include <math.h>

#include "tests/balance.h"

/* What the file holds; a case passed over in silence would show here. */
enum { N_PACK_ROWS = 249, N_REBALANCE_LAYERS = 147 };

static const char *const refinements[] = {"lpt", "maxmin", "l2"};
enum { N_REFINEMENTS = 3 };

static hid_t file;

/* A whole dataset as `type`, to be freed; its sizes where asked for. */
static void *read_dataset(hid_t group, const char *name, hid_t type, size_t size,
                          hsize_t shape[3]) {
  hsize_t dims[3] = {1, 1, 1};
  hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  CU_ASSERT_FATAL(dataset >= 0);
  hid_t space = H5Dget_space(dataset);
  CU_ASSERT_FATAL(space >= 0 && H5Sget_simple_extent_ndims(space) <= 3);
  CU_ASSERT_FATAL(H5Sget_simple_extent_dims(space, dims, NULL) >= 0);
  void *values = test_alloc((size_t)(dims[0] * dims[1] * dims[2]), size);
  CU_ASSERT_FATAL(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  if (shape != NULL) {
    memcpy(shape, dims, sizeof dims);
  }
  (void)H5Sclose(space);
  (void)H5Dclose(dataset);
  return values;
}

static double *read_doubles(hid_t group, const char *name, hsize_t shape[3]) {
  return read_dataset(group, name, H5T_NATIVE_DOUBLE, sizeof(double), shape);
}

static int32_t *read_ints(hid_t group, const char *name, hsize_t shape[3]) {
  return read_dataset(group, name, H5T_NATIVE_INT32, sizeof(int32_t), shape);
}

static size_t read_size(hid_t group, const char *name) {
  long long value = 0;
  hid_t attribute = H5Aopen(group, name, H5P_DEFAULT);
  CU_ASSERT_FATAL(attribute >= 0);
  CU_ASSERT_FATAL(H5Aread(attribute, H5T_NATIVE_LLONG, &value) >= 0 && value > 0);
  (void)H5Aclose(attribute);
  return (size_t)value;
}

static hid_t open_group(hid_t parent, const char *name) {
  hid_t group = H5Gopen2(parent, name, H5P_DEFAULT);
  CU_ASSERT_FATAL(group >= 0);
  return group;
}

/* Calls `check` on every group below `parent`; the sum of what it returns. */
static size_t for_each_case(const char *parent, size_t (*check)(hid_t, const char *)) {
  hid_t group = open_group(file, parent);
  H5G_info_t info;
  size_t total = 0;

  CU_ASSERT_FATAL(H5Gget_info(group, &info) >= 0);
  for (hsize_t x = 0; x < info.nlinks; x++) {
    char name[256];
    CU_ASSERT_FATAL(H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, x, name, sizeof name,
                                       H5P_DEFAULT) > 0);
    hid_t one = open_group(group, name);
    total += check(one, name);
    (void)H5Gclose(one);
  }
  (void)H5Gclose(group);
  return total;
}

static void report(bool good, const balancer *how, const char *name, const char *refinement,
                   size_t row) {
  CU_ASSERT(good);
  if (!good) {
    (void)printf("\n    %s differs: %s, %s, row %zu\n", how->name, name, refinement, row);
  }
}

/* Rows of a case's weights against one refinement's answers, by both balancers. */
static void check_pack_answers(hid_t answers, const char *name, const char *refinement, size_t rows,
                               size_t n, size_t m, const double *weight) {
  int32_t *index = read_ints(answers, "pack_index", NULL);
  int32_t *rank = read_ints(answers, "rank_in_pack", NULL);
  double *load = read_doubles(answers, "pack_load", NULL);
  int32_t *our_index = test_alloc(n, sizeof *our_index);
  int32_t *our_rank = test_alloc(n, sizeof *our_rank);
  double *our_load = test_alloc(m, sizeof *our_load);

  for (const balancer *how = balancers; how->name != NULL; how++) {
    for (size_t x = 0; x < rows; x++) {
      CHECK_OK(
          how->pack(n, m, weight + x * n, refinement, NULL, our_index, our_rank, our_load, NULL));
      bool good = memcmp(our_index, index + x * n, n * sizeof *index) == 0 &&
                  memcmp(our_rank, rank + x * n, n * sizeof *rank) == 0 &&
                  memcmp(our_load, load + x * m, m * sizeof *load) == 0;
      report(good, how, name, refinement, x);
    }
  }
  free(index);
  free(rank);
  free(load);
  free(our_index);
  free(our_rank);
  free(our_load);
}

static size_t check_pack_case(hid_t group, const char *name) {
  hsize_t shape[3];
  size_t m = read_size(group, "num_packs");
  double *weight = read_doubles(group, "weight", shape);

  for (size_t r = 0; r < N_REFINEMENTS; r++) {
    hid_t answers = open_group(group, refinements[r]);
    check_pack_answers(answers, name, refinements[r], (size_t)shape[0], (size_t)shape[1], m,
                       weight);
    (void)H5Gclose(answers);
  }
  free(weight);
  return (size_t)shape[0] * N_REFINEMENTS;
}

static void test_pack(void) {
  CU_ASSERT_EQUAL(for_each_case("pack", check_pack_case), N_PACK_ROWS);
}

/* The golden map of one layer, `width` wide, against ours; only the padding may differ. */
static bool same_back_map(const mb_shape *s, const int32_t *ours, const int32_t *golden,
                          size_t width) {
  size_t our_width = mb_shape_max_replicas(s);

  for (size_t e = 0; e < s->n_experts; e++) {
    for (size_t r = 0; r < our_width || r < width; r++) {
      int32_t a = r < our_width ? ours[e * our_width + r] : -1;
      int32_t b = r < width ? golden[e * width + r] : -1;
      if (a != b) {
        return false;
      }
    }
  }
  return true;
}

/* Largest GPU load over the mean, with a replica's even share of its expert's load. */
static double imbalance(const mb_shape *s, const double *load, const int32_t *map,
                        const int32_t *count) {
  size_t k = s->n_slots / s->n_gpus;
  double largest = 0;
  double total = 0;

  for (size_t gpu = 0; gpu < s->n_gpus; gpu++) {
    double sum = 0;
    for (size_t p = gpu * k; p < (gpu + 1) * k; p++) {
      sum += load[map[p]] / count[map[p]];
    }
    largest = sum > largest ? sum : largest;
    total += sum;
  }
  return largest * (double)s->n_gpus / total;
}

static void check_rebalance_answers(hid_t answers, const char *name, const char *refinement,
                                    const mb_shape *s, const double *load) {
  hsize_t back_shape[3];
  int32_t *map = read_ints(answers, "physical_to_logical_map", NULL);
  int32_t *back = read_ints(answers, "logical_to_physical_map", back_shape);
  int32_t *count = read_ints(answers, "expert_count", NULL);
  double *recorded = read_doubles(answers, "imbalance", NULL);
  size_t n_experts = s->n_experts;
  size_t n_slots = s->n_slots;
  size_t width = (size_t)back_shape[2];

  for (const balancer *how = balancers; how->name != NULL; how++) {
    mb_placement ours = placement_alloc(s);
    CHECK_OK(how->rebalance(s, load, refinement, NULL, &ours, NULL));
    for (size_t l = 0; l < s->n_layers; l++) {
      const int32_t *our_map = ours.physical_to_logical_map + l * n_slots;
      const int32_t *our_count = ours.expert_count + l * n_experts;
      const int32_t *our_back =
          ours.logical_to_physical_map + l * n_experts * mb_shape_max_replicas(s);
      bool good = memcmp(our_map, map + l * n_slots, n_slots * sizeof *map) == 0 &&
                  memcmp(our_count, count + l * n_experts, n_experts * sizeof *count) == 0 &&
                  same_back_map(s, our_back, back + l * n_experts * width, width);
      report(good, how, name, refinement, l);
      CU_ASSERT_DOUBLE_EQUAL(imbalance(s, load + l * n_experts, our_map, our_count), recorded[l],
                             1e-12 * recorded[l]);
    }
    placement_free(&ours);
  }
  free(map);
  free(back);
  free(count);
  free(recorded);
}

static size_t check_rebalance_case(hid_t group, const char *name) {
  hsize_t shape[3];
  double *load = read_doubles(group, "weight", shape);
  mb_shape s = {.n_layers = (size_t)shape[0],
                .n_experts = (size_t)shape[1],
                .n_slots = read_size(group, "num_replicas"),
                .n_groups = read_size(group, "num_groups"),
                .n_nodes = read_size(group, "num_nodes"),
                .n_gpus = read_size(group, "num_gpus")};

  for (size_t r = 0; r < N_REFINEMENTS; r++) {
    hid_t answers = open_group(group, refinements[r]);
    check_rebalance_answers(answers, name, refinements[r], &s, load);
    (void)H5Gclose(answers);
  }
  free(load);
  return s.n_layers * N_REFINEMENTS;
}

static void test_rebalance(void) {
  CU_ASSERT_EQUAL(for_each_case("rebalance", check_rebalance_case), N_REBALANCE_LAYERS);
}

int main(void) {
  const char *path = shared_path("golden/golden.h5");
  file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) {
    (void)fprintf(stderr, "%s: cannot be opened\n", path);
    return EXIT_FAILURE;
  }
  CU_TestInfo tests[] = {{"every packing of golden.h5", test_pack},
                         {"every rebalance of golden.h5", test_rebalance},
                         CU_TEST_INFO_NULL};
  int result = run_suite("golden_shared", tests);
  (void)H5Fclose(file);
  return result;
}
