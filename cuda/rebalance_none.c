/* cuda/rebalance_none.c - what stands for the GPU in a build without nvcc: a clear refusal. */
#include "cuda/rebalance.h"

static mb_status refuse(void) {
  return MB_FAIL(MB_ERR_UNSUPPORTED,
                 "this moebal was built without CUDA; build it with -DMB_CUDA=ON and nvcc");
}

mb_status mb_cuda_device_find(mb_cuda_device *device) {
  (void)device;
  return refuse();
}

mb_status mb_rebalance_cuda_launch(const mb_shape *shape, const double *load,
                                   const char *refinement, const mb_balance_options *options,
                                   const mb_placement *placement, mb_cuda_report *report,
                                   void *stream) {
  (void)shape;
  (void)load;
  (void)refinement;
  (void)options;
  (void)placement;
  (void)report;
  (void)stream;
  return refuse();
}

mb_status mb_rebalance_cuda(const mb_shape *shape, const double *load,
                            const mb_refinement_type *refinement, const mb_balance_options *options,
                            mb_placement *placement) {
  (void)shape;
  (void)load;
  (void)refinement;
  (void)options;
  (void)placement;
  return refuse();
}

static mb_status backend_create(const mb_shape *shape, void **rebalancer) {
  (void)shape;
  (void)rebalancer;
  return refuse();
}

static mb_status backend_rebalance(void *rebalancer, const double *load,
                                   const mb_refinement_type *refinement,
                                   const mb_balance_options *options, mb_placement *placement,
                                   mb_pack_stats *stats) {
  (void)rebalancer;
  (void)load;
  (void)refinement;
  (void)options;
  (void)placement;
  (void)stats;
  return refuse();
}

static void backend_destroy(void *rebalancer) {
  (void)rebalancer;
}

const mb_backend mb_backend_cuda = {
    .name = "cuda",
    .create = backend_create,
    .rebalance = backend_rebalance,
    .destroy = backend_destroy,
};
