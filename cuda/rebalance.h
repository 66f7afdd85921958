/* cuda/rebalance.h - mb_rebalance() on a GPU: one kernel launch, the same placement bit for bit. */
#ifndef MB_CUDA_REBALANCE_H
#define MB_CUDA_REBALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/backend.h"
#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The GPU in use: the calling thread's current device, which is the first unless it chose. */
typedef struct mb_cuda_device {
  char name[256];
  int major, minor;    /* compute capability; 8.0 is the least */
  int n_processors;    /* streaming multiprocessors */
  size_t shared_bytes; /* of shared memory, the most that a block can have */
} mb_cuda_device;

/**
 * @param device or NULL. Written only on MB_OK.
 * @return MB_OK; MB_ERR_UNSUPPORTED saying what is missing: CUDA in this build, a driver, a newer
 *         driver, a device.
 */
MB_NODISCARD mb_status mb_cuda_device_find(mb_cuda_device *device);

/** What a node's rebalance came to; one for each layer and node. */
typedef struct mb_cuda_report {
  int64_t rounds, swaps; /* of its packings; those of the groups count with node 0 */
  int32_t bad_expert;    /* -1; else the first whose load is out of range, or E: the layer's sum */
  int32_t reserved;      /* 0 */
} mb_cuda_report;

/**
 * Enqueues mb_rebalance() on a stream, as one kernel launch: loads from the GPU's memory, maps to
 * it. Allocates nothing, copies nothing and waits for nothing, so that a CUDA graph can capture it.
 * Loads are looked at on the GPU: of a layer with one out of range all maps are -1, and the report
 * says which.
 *
 * A layer and node is a block's work, and its state lies in shared memory: 16 bytes a slot of a
 * node, 8 more for each of them up to the next power of two, and 10 a GPU. 4,500 slots a node fit
 * the 163 KiB of an A100, 7,500 the 227 KiB of an H100. l2 keeps a table of all pairs of a node's
 * GPUs there as well, 12 bytes a pair (up to some 160 GPUs, or 190); where it does not fit, each
 * round searches all pairs anew.
 *
 * @param shape      Checked as mb_shape_check() does.
 * @param load       [L,E] on the GPU; as mb_rebalance() wants them. Borrowed until the kernel ends.
 * @param refinement "lpt", "maxmin" or "l2".
 * @param options    NULL: MB_BALANCE_OPTIONS_DEFAULT.
 * @param placement  Arrays on the GPU, caller-owned.
 * @param report     [L,N] on the GPU, or NULL; in global mode N is 1. Caller-owned.
 * @param stream     a cudaStream_t; NULL: the default stream.
 * @return MB_OK: launched; MB_ERR_SHAPE; MB_ERR_PARAM; MB_ERR_UNSUPPORTED for another refinement,
 *         without a GPU, and for a shape whose state does not fit into shared memory.
 *
 * Expected cost on an H100 is worked out in cuda/rebalance.cu.
 */
MB_NODISCARD mb_status mb_rebalance_cuda_launch(const mb_shape *shape, const double *load,
                                                const char *refinement,
                                                const mb_balance_options *options,
                                                const mb_placement *placement,
                                                mb_cuda_report *report, void *stream);

/**
 * mb_rebalance() with the host's arrays: copies the loads to the GPU, and the maps back. Makes the
 * GPU's memory anew with every call; a rebalancer of mb_backend_cuda keeps it.
 *
 * @return as mb_rebalance(); MB_ERR_UNSUPPORTED as mb_rebalance_cuda_launch().
 */
MB_NODISCARD mb_status mb_rebalance_cuda(const mb_shape *shape, const double *load,
                                         const mb_refinement_type *refinement,
                                         const mb_balance_options *options,
                                         mb_placement *placement);

/**
 * The GPU as a backend: named "cuda", and "cuda-emulated" where the kernels run on the CPU
 * (cuda/host, in tests). A rebalancer has memory on the GPU for one shape, and a stream. They are
 * of the device that was the thread's current one at create, and it has to be that again in each
 * call.
 */
extern const mb_backend mb_backend_cuda;

#ifdef __cplusplus
}
#endif

#endif
