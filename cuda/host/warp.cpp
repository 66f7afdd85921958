/* cuda/host/warp.cpp - operations among the lanes of a warp that a mask names. */
#include <cstring>

#include "cuda/host/block.h"

namespace mb_emulator {
namespace {

int lane_of(const cuda_thread &thread) {
  return thread.id % lanes;
}

bool has_lane(uint32_t mask, int lane) {
  return ((mask >> lane) & 1U) != 0;
}

size_t lane_id(const cuda_thread &of_warp, int lane) {
  int id = of_warp.id - lane_of(of_warp) + lane;
  return static_cast<size_t>(id);
}

cuda_thread &lane_thread(const cuda_thread &of_warp, int lane) {
  return block.threads[lane_id(of_warp, lane)];
}

bool lane_exists(const cuda_thread &of_warp, int lane) {
  return lane_id(of_warp, lane) < block.threads.size();
}

/* Calls visit(thread) for each lane in the mask. */
template <class Visit> void mask_visit(const cuda_thread &self, Visit visit) {
  for (uint32_t rest = self.request.mask; rest != 0; rest &= rest - 1) {
    visit(lane_thread(self, __builtin_ctz(rest)));
  }
}

void check_mask(const cuda_thread &self) {
  uint32_t mask = self.request.mask;

  if (!has_lane(mask, lane_of(self))) {
    block_fail("%s:%d: lane %d is not in its own mask %08x", self.at.file, self.at.line,
               lane_of(self), mask);
  }
  for (int lane = 0; lane < lanes; lane++) {
    if (!has_lane(mask, lane)) {
      continue;
    }
    bool exists = lane_exists(self, lane);
    if (!exists || lane_thread(self, lane).state == thread_state::ended) {
      block_fail("%s:%d: lane %d waits with mask %08x for lane %d, which %s", self.at.file,
                 self.at.line, lane_of(self), mask, lane, exists ? "has ended" : "does not exist");
    }
  }
}

/* Whether all lanes in the mask wait, with the same mask. */
bool all_came(const cuda_thread &self) {
  bool came = true;

  mask_visit(self, [&](const cuda_thread &other) {
    came = came && other.state == thread_state::at_warp_operation &&
           other.request.mask == self.request.mask;
  });
  return came;
}

void check_same_operation(const cuda_thread &self) {
  mask_visit(self, [&](const cuda_thread &other) {
    if (other.request.kind != self.request.kind || other.at.line != self.at.line ||
        strcmp(other.at.file, self.at.file) != 0) {
      block_fail("divergent warp operation: lane %d at %s:%d, lane %d at %s:%d", lane_of(self),
                 self.at.file, self.at.line, lane_of(other), other.at.file, other.at.line);
    }
  });
}

uint32_t combine(warp_kind kind, uint32_t a, uint32_t b) {
  auto a_signed = static_cast<int32_t>(a);
  auto b_signed = static_cast<int32_t>(b);

  switch (kind) {
  case warp_kind::reduce_add:
    return a + b;
  case warp_kind::reduce_min_unsigned:
    return b < a ? b : a;
  case warp_kind::reduce_max_unsigned:
    return b > a ? b : a;
  case warp_kind::reduce_min_signed:
    return b_signed < a_signed ? b : a;
  case warp_kind::reduce_max_signed:
    return b_signed > a_signed ? b : a;
  case warp_kind::reduce_and:
    return a & b;
  case warp_kind::reduce_xor:
    return a ^ b;
  default: /* reduce_or, and a ballot's bits */
    return a | b;
  }
}

/* What all lanes get alike: a ballot's bits, or the values combined. */
uint32_t common_answer(const cuda_thread &self) {
  bool ballot = self.request.kind == warp_kind::ballot;
  bool first = true;
  uint32_t answer = 0;

  mask_visit(self, [&](const cuda_thread &other) {
    auto value = static_cast<uint32_t>(other.request.value);
    value = ballot ? value << lane_of(other) : value;
    answer = first ? value : combine(self.request.kind, answer, value);
    first = false;
  });
  return answer;
}

uint64_t shuffled(const cuda_thread &self) {
  int source = self.request.source;

  if (!has_lane(self.request.mask, source)) {
    block_fail("%s:%d: lane %d shuffles from lane %d, which is not in the mask %08x", self.at.file,
               self.at.line, lane_of(self), source, self.request.mask);
  }
  return lane_thread(self, source).request.value;
}

/* Only __syncwarp orders memory. */
void *order_token(const cuda_thread &self) {
  return &block.tokens->warp[self.id / lanes][__builtin_ctz(self.request.mask)];
}

void complete(const cuda_thread &self) {
  bool shuffles = self.request.kind == warp_kind::shuffle;

  check_same_operation(self);
  uint32_t answer = common_answer(self);
  mask_visit(self, [&](cuda_thread &other) {
    other.result = shuffles ? shuffled(other) : answer;
    if (self.request.kind == warp_kind::sync) {
      thread_acquire(other, order_token(self));
    }
  });
  int first = self.id - lane_of(self);
  int last = first + lanes;
  uint32_t mask = self.request.mask;
  while (!lane_exists(self, last - 1 - first)) {
    last--;
  }
  threads_visit(first, last, [=](cuda_thread &other) {
    if (has_lane(mask, lane_of(other))) {
      thread_make_ready(other);
    }
  });
}

} // namespace

void warp_check_ended(const cuda_thread &ended) {
  for (int lane = 0; lane < lanes && lane_exists(ended, lane); lane++) {
    const cuda_thread &other = lane_thread(ended, lane);
    if (other.state == thread_state::at_warp_operation &&
        has_lane(other.request.mask, lane_of(ended))) {
      check_mask(other);
    }
  }
}

uint64_t warp_operation(const warp_request &request, location at) {
  cuda_thread &self = *block.running;

  stats.warp_ops++;
  self.at = at;
  self.request = request;
  check_mask(self);
  self.state = thread_state::at_warp_operation;
  if (request.kind == warp_kind::sync) {
    tsan_release(order_token(self));
  }
  if (all_came(self)) {
    complete(self);
  }
  thread_wait();
  return self.result;
}

/* As PTX defines shfl: a lane that would read beyond its segment reads itself. */
int shuffle_source(shuffle_kind kind, int argument, int width, location at) {
  int lane = lane_of(*block.running);

  if (width < 1 || width > lanes || (width & (width - 1)) != 0) {
    block_fail("%s:%d: a shuffle of width %d; it has to be 1, 2, 4, 8, 16 or 32", at.file, at.line,
               width);
  }
  int first = lane & ~(width - 1);
  int last = first + width - 1;
  int amount = argument & (lanes - 1);
  switch (kind) {
  case shuffle_kind::exclusive_or:
    return (lane ^ amount) > last ? lane : lane ^ amount;
  case shuffle_kind::up:
    return lane - amount < first ? lane : lane - amount;
  case shuffle_kind::down:
    return lane + amount > last ? lane : lane + amount;
  default:
    return first + (argument & (width - 1));
  }
}

} // namespace mb_emulator
