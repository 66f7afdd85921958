/* cuda/host/stream.h - internal: work that waits on streams, until something synchronises. */
#ifndef MB_CUDA_HOST_STREAM_H
#define MB_CUDA_HOST_STREAM_H

#include <functional>

#include "cuda/host/runtime.h"

namespace mb_emulator {

/** A copy, a fill, a launch, or an event's turn. */
using stream_work = std::function<void()>;

/** Puts work on a stream, or into the graph that the stream is captured to. On the null stream it
 * is done at once, after all that waits on streams that are not cudaStreamNonBlocking. */
cudaError_t stream_submit(cudaStream_t stream, stream_work work);

/** Does all the work that waits, taking turns between the streams by the schedule's order. */
void stream_run_all();

/** Spoils captures that are strict about what may be called meanwhile. True if there was one. */
bool stream_capture_spoil();

void stream_release_all();

} // namespace mb_emulator

#endif
