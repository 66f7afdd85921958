/* tests/cuda_graph.h - a rebalance captured in a CUDA graph, for a test in C. */
#ifndef MB_TESTS_CUDA_GRAPH_H
#define MB_TESTS_CUDA_GRAPH_H

#include "balancer/placement.h"
#include "cuda/rebalance.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Captures one launch of l2 with its loads in the GPU's memory, and runs the graph n times, the
 * loads being other ones each time.
 *
 * @param load   [n,L,E]
 * @param map    [n,L,P] physical_to_logical_map of each run
 * @param report [n,L,N], or L reports each in global mode
 * @return 0, or the CUDA error.
 */
int cuda_graph_rebalance(const mb_shape *shape, size_t n, const double *load, int32_t *map,
                         mb_cuda_report *report);

#ifdef __cplusplus
}
#endif

#endif
