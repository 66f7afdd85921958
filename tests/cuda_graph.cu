/* tests/cuda_graph.cu */
#include "tests/cuda_graph.h"

#include "cuda/gpu.h"

/* What a run needs on the GPU. */
struct memory {
  double *load;
  int32_t *map;
  mb_cuda_report *report;
  size_t load_bytes, map_bytes, report_bytes;
};

#define TRY(call)                \
  do {                           \
    cudaError_t error_ = (call); \
    if (error_ != cudaSuccess) { \
      return error_;             \
    }                            \
  } while (0)

static cudaError_t allocate(memory *m, const mb_shape *shape) {
  size_t n_nodes = mb_shape_is_hierarchical(shape) ? shape->n_nodes : 1;

  *m = memory{};
  m->load_bytes = shape->n_layers * shape->n_experts * sizeof(double);
  m->map_bytes = shape->n_layers * shape->n_slots * sizeof(int32_t);
  m->report_bytes = shape->n_layers * n_nodes * sizeof(mb_cuda_report);
  TRY(cudaMalloc(&m->load, m->load_bytes));
  TRY(cudaMalloc(&m->map, m->map_bytes));
  return cudaMalloc(&m->report, m->report_bytes);
}

/* One launch, with nothing that a capture would refuse. */
static cudaError_t capture(const memory &m, const mb_shape *shape, cudaStream_t stream,
                           cudaGraph_t *graph) {
  mb_placement placement = {m.map, NULL, NULL};

  TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  mb_status status =
      mb_rebalance_cuda_launch(shape, m.load, "l2", NULL, &placement, m.report, stream);
  TRY(cudaStreamEndCapture(stream, graph));
  return status == MB_OK ? cudaSuccess : cudaErrorInvalidValue;
}

static cudaError_t run(const memory &m, cudaGraphExec_t graph, cudaStream_t stream, size_t n,
                       const double *load, int32_t *map, mb_cuda_report *report) {
  for (size_t x = 0; x < n; x++) {
    TRY(cudaMemcpyAsync(m.load, load + x * (m.load_bytes / sizeof *load), m.load_bytes,
                        cudaMemcpyHostToDevice, stream));
    TRY(cudaGraphLaunch(graph, stream));
    TRY(cudaMemcpyAsync(map + x * (m.map_bytes / sizeof *map), m.map, m.map_bytes,
                        cudaMemcpyDeviceToHost, stream));
    TRY(cudaMemcpyAsync(report + x * (m.report_bytes / sizeof *report), m.report, m.report_bytes,
                        cudaMemcpyDeviceToHost, stream));
    TRY(cudaStreamSynchronize(stream));
  }
  return cudaSuccess;
}

int cuda_graph_rebalance(const mb_shape *shape, size_t n, const double *load, int32_t *map,
                         mb_cuda_report *report) {
  memory m;
  cudaStream_t stream = NULL;
  cudaGraph_t graph = NULL;
  cudaGraphExec_t ready = NULL;

  TRY(allocate(&m, shape));
  TRY(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  TRY(capture(m, shape, stream, &graph));
  TRY(cudaGraphInstantiate(&ready, graph, 0));
  TRY(run(m, ready, stream, n, load, map, report));
  TRY(cudaGraphExecDestroy(ready));
  TRY(cudaGraphDestroy(graph));
  TRY(cudaStreamDestroy(stream));
  TRY(cudaFree(m.load));
  TRY(cudaFree(m.map));
  return cudaFree(m.report);
}
