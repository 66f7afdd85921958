/* tests/test_model.c - the model presets, against figures published independently of their shapes.
 */
#include "workloads/model.h"

#include "tests/test.h"

#define MIB 1048576.0

typedef struct published {
  const char *name;
  double parameters; /* of the whole model, as its makers state them */
  double expert_mib; /* one expert in BF16 */
  size_t top_k, n_groups, n_layers, n_experts;
} published;

static const published all[] = {
    {"deepseek-v3", 671e9, 84.0, 8, 8, 58, 256},
    {"deepseek-v2", 236e9, 45.0, 6, 8, 59, 160},
    {"deepseek-v2-lite", 15.7e9, 16.5, 6, 1, 26, 64},
    {"deepseek-v4-pro", 1.6e12, 126.0, 6, 1, 61, 384},
    {"deepseek-v4-flash", 284e9, 48.0, 6, 1, 43, 256},
    {"kimi-k2", 1.04e12, 84.0, 8, 1, 60, 384},
    {"qwen3-235b-a22b", 235e9, 36.0, 8, 1, 94, 128},
    {"qwen3-30b-a3b", 30.5e9, 9.0, 8, 1, 48, 128},
    {"qwen3-next-80b-a3b", 80e9, 6.0, 10, 1, 48, 512},
    {"qwen3.5-397b-a17b", 397e9, 24.0, 10, 1, 60, 512},
    {"qwen3-coder-480b-a35b", 480e9, 90.0, 8, 1, 62, 160},
    {"glm-4.5", 355e9, 45.0, 8, 1, 89, 160},
    {"glm-4.5-air", 106e9, 33.0, 8, 1, 45, 128},
    {"glm-5", 744e9, 72.0, 8, 1, 75, 256},
    {"mixtral-8x7b", 46.7e9, 336.0, 2, 1, 32, 8},
    {"gpt-oss-20b", 20.9e9, 47.4609375, 4, 1, 24, 32},
    {"gpt-oss-120b", 116.8e9, 47.4609375, 4, 1, 36, 128},
    {"llama-4-maverick", 400e9, 240.0, 1, 1, 24, 128},
    {"llama-4-scout", 109e9, 240.0, 1, 1, 48, 16},
    {"minimax-m2.5", 230e9, 27.0, 8, 1, 62, 256},
    {"adrs", 671e9, 84.0, 8, 8, 58, 256},
};

/* Routed experts hold nearly all weights of such a model: a wrong layer or expert count shows. */
static void test_published(void) {
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const mb_model *model = mb_model_find(all[i].name);
    CU_ASSERT_PTR_NOT_NULL(model);
    if (model == NULL) {
      continue;
    }
    double expert = mb_model_expert_bytes(model, 16.0);
    double weights = expert / 2.0 * (double)model->n_experts * (double)model->n_layers;
    CU_ASSERT_DOUBLE_EQUAL(expert / MIB, all[i].expert_mib, 1e-9);
    /* Scout has a shared expert and dense parts beside only 16. */
    CU_ASSERT(weights / all[i].parameters > 0.88);
    CU_ASSERT(weights / all[i].parameters < 0.99);
    CU_ASSERT_EQUAL(model->top_k, all[i].top_k);
    CU_ASSERT_EQUAL(model->n_groups, all[i].n_groups);
    CU_ASSERT_EQUAL(model->n_layers, all[i].n_layers);
    CU_ASSERT_EQUAL(model->n_experts, all[i].n_experts);
  }
}

static void test_list(void) {
  size_t n = 0;

  for (const mb_model *model = mb_models(); model->name != NULL; model++, n++) {
    CU_ASSERT_PTR_EQUAL(mb_model_find(model->name), model);
    CU_ASSERT_EQUAL(model->n_experts % model->n_groups, 0);
    CU_ASSERT(model->top_k >= 1 && model->top_k <= model->n_experts);
    CU_ASSERT(model->n_layers >= 1 && model->layer_step >= 1);
    CU_ASSERT(model->group_limit >= 1 && model->group_limit <= model->n_groups);
    CU_ASSERT(model->top_k <= model->group_limit * (model->n_experts / model->n_groups));
    CU_ASSERT_PTR_NOT_NULL(model->deployment);
    CU_ASSERT(strlen(model->title) > 0 && strlen(model->source) > 0);
  }
  CU_ASSERT_EQUAL(n, sizeof all / sizeof *all);
  CU_ASSERT_PTR_NULL(mb_model_find("deepseek"));
  CU_ASSERT_PTR_NULL(mb_model_find(""));
}

static void test_bits(void) {
  const mb_model *model = mb_model_find("deepseek-v3");

  CU_ASSERT_PTR_NOT_NULL(model);
  if (model == NULL) {
    return;
  }
  CU_ASSERT_EQUAL(mb_model_expert_bytes(model, 8.0), 42.0 * MIB);
  CU_ASSERT_EQUAL(mb_model_expert_bytes(model, 4.5), 23.625 * MIB);
  CU_ASSERT_EQUAL(model->first_layer, 3);
  CU_ASSERT_EQUAL(model->first_layer + model->n_layers, 61);
  /* Every second layer of the 48, the last one among them. */
  const mb_model *maverick = mb_model_find("llama-4-maverick");
  CU_ASSERT_EQUAL(maverick->first_layer + (maverick->n_layers - 1) * maverick->layer_step, 47);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"weights add up to the published size", test_published},
      {"the list is complete and consistent", test_list},
      {"bytes follow the bits of a weight", test_bits},
      CU_TEST_INFO_NULL,
  };
  return run_suite("model", tests);
}
