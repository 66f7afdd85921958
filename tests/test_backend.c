/* tests/test_backend.c - which backend makes the plans, with the emulator in a GPU's place. */
#include <stdlib.h>
#include <string.h>

#include "balancer/planner.h"
#include "cuda/host/emulator_control.h"
#include "cuda/rebalance.h"
#include "experiments/backend.h"
#include "tests/test.h"

enum { L = 2, E = 8, P = 12 };

static const mb_shape shape = {
    .n_layers = L, .n_experts = E, .n_slots = P, .n_groups = 4, .n_nodes = 2, .n_gpus = 4};

/* On a machine with that many devices, or that driver; NULL: the emulator's one. */
static void with_devices(const char *devices) {
  if (devices != NULL) {
    CU_ASSERT_EQUAL(setenv("MB_EMULATOR_DEVICES", devices, 1), 0);
  } else {
    CU_ASSERT_EQUAL(unsetenv("MB_EMULATOR_DEVICES"), 0);
  }
  mb_emulator_configure(NULL);
}

static void test_with_device(void) {
  mb_backend_choice choice;

  with_devices(NULL);
  CHECK_OK(mb_backend_choose("cpu", &shape, &choice));
  CU_ASSERT_PTR_EQUAL(choice.backend, &mb_backend_cpu);
  CU_ASSERT_STRING_EQUAL(choice.gpu, "none");
  for (size_t x = 0; x < 2; x++) {
    CHECK_OK(mb_backend_choose(x == 0 ? "cuda" : "auto", &shape, &choice));
    CU_ASSERT_PTR_EQUAL(choice.backend, &mb_backend_cuda);
    CU_ASSERT_STRING_EQUAL(choice.backend->name, "cuda-emulated");
    CU_ASSERT(strstr(choice.gpu, "emulator") != NULL);
    CU_ASSERT_STRING_EQUAL(choice.note, "");
  }
}

/* cuda is refused, with the reason; auto goes to the CPU, and says the same. */
static void check_without(const char *devices, const mb_shape *s, const char *reason) {
  mb_backend_choice choice = {.gpu = "as it was"};

  with_devices(devices);
  CHECK_FAILS(mb_backend_choose("cuda", s, &choice), MB_ERR_UNSUPPORTED, reason);
  CU_ASSERT_STRING_EQUAL(choice.gpu, "as it was");
  CHECK_OK(mb_backend_choose("auto", s, &choice));
  CU_ASSERT_PTR_EQUAL(choice.backend, &mb_backend_cpu);
  CU_ASSERT_STRING_EQUAL(choice.gpu, "none");
  CU_ASSERT(strstr(choice.note, reason) != NULL);
  with_devices(NULL);
}

static void test_without_device(void) {
  mb_shape large = shape;

  check_without("0", &shape, "there is no CUDA device on this machine");
  check_without("no-driver", &shape, "there is no NVIDIA driver on this machine");
  check_without("old-driver", &shape, "the NVIDIA driver is for CUDA ");
  large.n_slots = 40000;
  check_without(NULL, &large, "20000 slots a node take ");
}

/* A strategy plans the same with either; and no device is no plan. */
static void test_planner(void) {
  double load[L * E];
  int32_t current[L * P];
  int32_t map[2][L * P];
  double imbalance[L] = {1, 1};
  const mb_backend *backends[2] = {&mb_backend_cpu, &mb_backend_cuda};
  mb_planner *planner = NULL;

  for (size_t x = 0; x < (size_t)L * E; x++) {
    load[x] = (double)(x * x % 37);
  }
  for (size_t l = 0; l < L; l++) {
    mb_placement_linear(&shape, current + l * P);
  }
  for (size_t x = 0; x < 2; x++) {
    bool replaced[L];
    mb_plan_output output = {replaced, map[x]};
    const mb_plan_input input = {.shape = shape,
                                 .step = 5,
                                 .n_window_steps = 5,
                                 .n_slices = 1,
                                 .load = load,
                                 .physical_to_logical_map = current,
                                 .imbalance = imbalance};
    CHECK_OK(mb_planner_create(mb_strategy_find("l2"), &shape, NULL, backends[x], &planner));
    CHECK_OK(mb_planner_plan(planner, &input, &output));
    mb_planner_destroy(planner);
  }
  CU_ASSERT_EQUAL(memcmp(map[0], map[1], sizeof map[0]), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(map[0], current, sizeof current), 0);
  CU_ASSERT(mb_emulator_stats_get().launches > 0);
  with_devices("0");
  CHECK_FAILS(mb_planner_create(mb_strategy_find("l2"), &shape, NULL, &mb_backend_cuda, &planner),
              MB_ERR_UNSUPPORTED, "there is no CUDA device");
  with_devices(NULL);
}

int main(void) {
  CU_TestInfo tests[] = {{"with a device", test_with_device},
                         {"without", test_without_device},
                         {"planner", test_planner},
                         CU_TEST_INFO_NULL};

  return run_suite("backend", tests);
}
