/* cuda/host/stream.cpp - streams, events and graphs, as queues of work that nothing drains before
 * it has to be: then what was not waited for has visibly not happened. */
#include "cuda/host/stream.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cuda/host/block.h"
#include "cuda/host/device_state.h"
#include "cuda/host/options.h"

using mb_emulator::stream_work;

struct CUgraph_st {
  std::vector<stream_work> work;
};

struct CUgraphExec_st {
  std::shared_ptr<const std::vector<stream_work>> work;
};

struct CUstream_st {
  bool blocking; /* the null stream waits for it */
  std::deque<stream_work> waiting;
  cudaGraph_t captured; /* NULL unless the stream is being captured */
  cudaStreamCaptureMode mode;
  bool spoiled;
};

/* Shared with the work that waits on streams, so that an event can be destroyed before its turn. */
struct event_progress {
  uint64_t recorded = 0; /* how often it was put on a stream */
  uint64_t happened = 0; /* how often the stream has come to it */
  cudaStream_t stream = nullptr;
  bool in_capture = false;
};

struct CUevent_st {
  std::shared_ptr<event_progress> progress;
};

namespace mb_emulator {
namespace {

template <class Handle> class handle_table {
public:
  Handle *add(Handle *handle) {
    handles.push_back(handle);
    return handle;
  }
  bool has(const Handle *handle) const {
    return std::find(handles.begin(), handles.end(), handle) != handles.end();
  }
  void remove(Handle *handle) {
    handles.erase(std::find(handles.begin(), handles.end(), handle));
    delete handle;
  }
  void clear() {
    for (Handle *handle : handles) {
      delete handle;
    }
    handles.clear();
  }
  const std::vector<Handle *> &all() const {
    return handles;
  }

private:
  std::vector<Handle *> handles;
};

struct {
  handle_table<CUstream_st> streams;
  handle_table<CUevent_st> events;
  handle_table<CUgraph_st> graphs;
  handle_table<CUgraphExec_st> execs;
} tables;

template <class Handle>
cudaError_t check_handle(const handle_table<Handle> &table, const Handle *handle,
                         const char *call) {
  cudaError_t error = device_check();

  return error != cudaSuccess || table.has(handle)
             ? error
             : device_refuse(cudaErrorInvalidResourceHandle, "%s with a handle that is none", call);
}

/* The null stream is no handle, and always there. */
cudaError_t check_stream(cudaStream_t stream, const char *call) {
  return stream == nullptr ? device_check() : check_handle(tables.streams, stream, call);
}

bool is_capturing(cudaStream_t stream) {
  return stream != nullptr && stream->captured != nullptr;
}

cudaError_t refuse_capture(cudaStream_t stream, const char *call) {
  stream->spoiled = true;
  return device_refuse(cudaErrorStreamCaptureUnsupported, "%s on a stream that is captured", call);
}

void run_next(cudaStream_t stream) {
  stream_work work = std::move(stream->waiting.front());

  stream->waiting.pop_front();
  if (!device_is_broken()) {
    work();
  }
}

void run(cudaStream_t stream) {
  while (!stream->waiting.empty()) {
    run_next(stream);
  }
}

/* Any of the streams that have work, by the schedule's order; NULL if none has. */
cudaStream_t next_stream(bool blocking_only) {
  std::vector<cudaStream_t> candidates;

  for (cudaStream_t stream : tables.streams.all()) {
    if (!stream->waiting.empty() && (stream->blocking || !blocking_only)) {
      candidates.push_back(stream);
    }
  }
  if (candidates.empty()) {
    return nullptr;
  }
  switch (options().order) {
  case MB_EMULATOR_DESCENDING:
    return candidates.back();
  case MB_EMULATOR_RANDOM:
    return candidates[random_below(static_cast<uint32_t>(candidates.size()))];
  default:
    return candidates.front();
  }
}

void run_streams(bool blocking_only) {
  for (cudaStream_t stream; (stream = next_stream(blocking_only)) != nullptr;) {
    run_next(stream);
  }
}

/* An event waits in its stream for the work before it; that cannot wait for this one in turn, for
 * work waits only for what was submitted before it. */
void run_until(const event_progress &event, uint64_t times) {
  while (event.happened < times && tables.streams.has(event.stream) &&
         !event.stream->waiting.empty()) {
    run_next(event.stream);
  }
}

cudaError_t submit_to_null_stream(const stream_work &work) {
  for (cudaStream_t stream : tables.streams.all()) {
    if (is_capturing(stream) && stream->blocking) {
      stream->spoiled = true;
      return device_refuse(cudaErrorStreamCaptureImplicit,
                           "work on the null stream while a stream is captured");
    }
  }
  run_streams(true);
  if (!device_is_broken()) {
    work();
  }
  return device_check();
}

cudaError_t check_launch(const launch_shape &shape) {
  constexpr unsigned block_z_max = 64;
  constexpr unsigned grid_x_max = 0x7fffffff;
  constexpr unsigned grid_yz_max = 65535;
  const dim3 &grid = shape.grid;
  const dim3 &threads = shape.block;
  uint64_t n_threads = static_cast<uint64_t>(threads.x) * threads.y * threads.z;
  uint64_t n_blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;

  if (threads.x > threads_max || threads.y > threads_max || threads.z > block_z_max ||
      n_threads == 0 || n_threads > threads_max || n_blocks == 0 || n_blocks > grid_x_max ||
      grid.y > grid_yz_max || grid.z > grid_yz_max) {
    return device_refuse(cudaErrorInvalidConfiguration,
                         "kernel %s: a grid of (%u,%u,%u) blocks of (%u,%u,%u) threads",
                         shape.kernel, grid.x, grid.y, grid.z, threads.x, threads.y, threads.z);
  }
  if (shape.dynamic_shared_bytes > options().shared_bytes_max) {
    return device_refuse(cudaErrorInvalidValue,
                         "kernel %s: %zu bytes of shared memory in a block, %zu are the most",
                         shape.kernel, shape.dynamic_shared_bytes, options().shared_bytes_max);
  }
  return cudaSuccess;
}

} // namespace

cudaError_t stream_submit(cudaStream_t stream, stream_work work) {
  cudaError_t error = check_stream(stream, "work");

  if (error != cudaSuccess) {
    return error;
  }
  if (stream == nullptr) {
    return submit_to_null_stream(work);
  }
  if (is_capturing(stream)) {
    stream->captured->work.push_back(std::move(work));
  } else {
    stream->waiting.push_back(std::move(work));
  }
  return cudaSuccess;
}

void stream_run_all() {
  run_streams(false);
}

bool stream_capture_spoil() {
  bool found = false;

  for (cudaStream_t stream : tables.streams.all()) {
    if (is_capturing(stream) && stream->mode != cudaStreamCaptureModeRelaxed) {
      stream->spoiled = true;
      found = true;
    }
  }
  return found;
}

void stream_release_all() {
  for (cudaStream_t stream : tables.streams.all()) {
    delete stream->captured;
  }
  tables.streams.clear();
  tables.events.clear();
  tables.graphs.clear();
  tables.execs.clear();
}

cudaError_t launch_submit(const launch_shape &shape, cudaStream_t stream,
                          std::function<void()> thread) {
  cudaError_t error = device_check();

  error = error != cudaSuccess ? error : check_launch(shape);
  if (error != cudaSuccess) {
    return error;
  }
  return stream_submit(stream, [shape, thread = std::move(thread)] {
    if (!grid_run(shape, thread)) {
      (void)device_break(cudaErrorLaunchFailure);
    }
  });
}

} // namespace mb_emulator

using namespace mb_emulator;

cudaError_t cudaDeviceSynchronize(void) {
  cudaError_t error = device_check_outside_capture("cudaDeviceSynchronize");

  if (error == cudaSuccess) {
    stream_run_all();
    error = device_check();
  }
  return error;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
  cudaError_t error = device_check();

  if (error != cudaSuccess) {
    return error;
  }
  if (flags > cudaStreamNonBlocking) {
    return device_refuse(cudaErrorInvalidValue, "stream flags %u", flags);
  }
  *stream = tables.streams.add(new CUstream_st{
      flags != cudaStreamNonBlocking, {}, nullptr, cudaStreamCaptureModeGlobal, false});
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

/* Destroys even on a broken device, so that what cleans up after a failure leaks nothing. */
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!tables.streams.has(stream)) {
    return device_refuse(cudaErrorInvalidResourceHandle, "cudaStreamDestroy of no stream");
  }
  run(stream);
  delete stream->captured;
  tables.streams.remove(stream);
  return device_check();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  cudaError_t error = check_stream(stream, "cudaStreamSynchronize");

  if (error != cudaSuccess) {
    return error;
  }
  if (is_capturing(stream)) {
    return refuse_capture(stream, "cudaStreamSynchronize");
  }
  if (stream == nullptr) {
    return submit_to_null_stream([] {});
  }
  run(stream);
  return device_check();
}

/* Each question lets the stream go one step on, so that asking again and again ends. */
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  cudaError_t error = check_stream(stream, "cudaStreamQuery");

  if (error != cudaSuccess || stream == nullptr) {
    return error;
  }
  if (is_capturing(stream)) {
    return refuse_capture(stream, "cudaStreamQuery");
  }
  if (stream->waiting.empty()) {
    return cudaSuccess;
  }
  run_next(stream);
  error = device_check();
  return error != cudaSuccess ? error : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  cudaError_t error = check_stream(stream, "cudaStreamWaitEvent");

  error = error != cudaSuccess ? error : check_handle(tables.events, event, "cudaStreamWaitEvent");
  if (error != cudaSuccess) {
    return error;
  }
  if (flags != 0) {
    return device_refuse(cudaErrorInvalidValue, "cudaStreamWaitEvent with flags %u", flags);
  }
  std::shared_ptr<event_progress> progress = event->progress;
  if (is_capturing(stream) || progress->in_capture) {
    bool same = progress->in_capture && progress->stream == stream;
    return same ? cudaSuccess
                : device_refuse(cudaErrorStreamCaptureUnsupported,
                                "a capture that spans two streams is not emulated");
  }
  uint64_t times = progress->recorded;
  return stream_submit(stream, [=] { run_until(*progress, times); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  cudaError_t error = device_check();

  (void)flags;
  if (error == cudaSuccess) {
    *event = tables.events.add(new CUevent_st{std::make_shared<event_progress>()});
  }
  return error;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (!tables.events.has(event)) {
    return device_refuse(cudaErrorInvalidResourceHandle, "cudaEventDestroy of no event");
  }
  tables.events.remove(event);
  return device_check();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  cudaError_t error = check_stream(stream, "cudaEventRecord");

  error = error != cudaSuccess ? error : check_handle(tables.events, event, "cudaEventRecord");
  if (error != cudaSuccess) {
    return error;
  }
  std::shared_ptr<event_progress> progress = event->progress;
  progress->stream = stream;
  progress->in_capture = is_capturing(stream);
  if (progress->in_capture) {
    return cudaSuccess;
  }
  uint64_t times = ++progress->recorded;
  return stream_submit(stream, [=] { progress->happened = times; });
}

static cudaError_t check_event(cudaEvent_t event, const char *call) {
  cudaError_t error = check_handle(tables.events, event, call);

  if (error == cudaSuccess && event->progress->in_capture) {
    error = device_refuse(cudaErrorStreamCaptureUnsupported, "%s of an event in a capture", call);
  }
  return error;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  cudaError_t error = check_event(event, "cudaEventSynchronize");

  if (error != cudaSuccess) {
    return error;
  }
  run_until(*event->progress, event->progress->recorded);
  return device_check();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  cudaError_t error = check_event(event, "cudaEventQuery");

  if (error != cudaSuccess || event->progress->happened == event->progress->recorded) {
    return error;
  }
  run_next(event->progress->stream);
  error = device_check();
  return error != cudaSuccess ? error : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  (void)milliseconds;
  (void)start;
  (void)end;
  return device_refuse(cudaErrorNotSupported, "an emulator's time says nothing of a GPU's");
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  cudaError_t error = check_stream(stream, "cudaStreamBeginCapture");

  if (error != cudaSuccess) {
    return error;
  }
  if (stream == nullptr || is_capturing(stream)) {
    return device_refuse(cudaErrorStreamCaptureUnsupported, stream == nullptr
                                                                ? "a capture of the null stream"
                                                                : "a second capture of a stream");
  }
  stream->captured = new CUgraph_st;
  stream->mode = mode;
  stream->spoiled = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  cudaError_t error = check_stream(stream, "cudaStreamEndCapture");

  if (error != cudaSuccess) {
    return error;
  }
  if (!is_capturing(stream)) {
    return device_refuse(cudaErrorIllegalState, "cudaStreamEndCapture without a beginning");
  }
  cudaGraph_t captured = std::exchange(stream->captured, nullptr);
  if (stream->spoiled) {
    delete captured;
    *graph = nullptr;
    return device_refuse(cudaErrorStreamCaptureInvalidated,
                         "the capture was spoiled by a call that it does not allow");
  }
  *graph = tables.graphs.add(captured);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
  cudaError_t error = check_stream(stream, "cudaStreamIsCapturing");

  if (error != cudaSuccess) {
    return error;
  }
  *status = !is_capturing(stream) ? cudaStreamCaptureStatusNone
            : stream->spoiled     ? cudaStreamCaptureStatusInvalidated
                                  : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  cudaError_t error = check_handle(tables.graphs, graph, "cudaGraphInstantiate");

  (void)flags;
  if (error == cudaSuccess) {
    auto work = std::make_shared<const std::vector<stream_work>>(graph->work);
    *exec = tables.execs.add(new CUgraphExec_st{work});
  }
  return error;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  cudaError_t error = check_handle(tables.execs, exec, "cudaGraphLaunch");

  if (error != cudaSuccess) {
    return error;
  }
  return stream_submit(stream, [work = exec->work] {
    for (const stream_work &step : *work) {
      if (!device_is_broken()) {
        step();
      }
    }
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!tables.graphs.has(graph)) {
    return device_refuse(cudaErrorInvalidResourceHandle, "cudaGraphDestroy of no graph");
  }
  tables.graphs.remove(graph);
  return device_check();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (!tables.execs.has(exec)) {
    return device_refuse(cudaErrorInvalidResourceHandle, "cudaGraphExecDestroy of no graph");
  }
  tables.execs.remove(exec);
  return device_check();
}
