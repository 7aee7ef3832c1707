// What a barrier in every step would cost two threads: see docs/decisions/native-kernel.md.
//   g++ -O2 -pthread csrc/test/barrier.cpp -o /tmp/barrier && /tmp/barrier

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

namespace {

constexpr int kSteps = 20000, kRepeats = 15;
std::atomic<int> arrived{0}, sense{0};

void wait_for_the_other(int &mine) {
  mine ^= 1;
  if (arrived.fetch_add(1) == 1) {
    arrived.store(0);
    sense.store(mine);
  } else {
    while (sense.load(std::memory_order_acquire) != mine) {
    }
  }
}

double nanoseconds_a_step() {
  arrived = sense = 0;
  auto steps = [] {
    int mine = 0;
    for (int i = 0; i < kSteps; ++i) wait_for_the_other(mine);
  };
  const auto start = std::chrono::steady_clock::now();
  std::thread other(steps);
  steps();
  other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kSteps * 1e9;
}

}  // namespace

int main() {
  double found[kRepeats];
  for (double &value : found) value = nanoseconds_a_step();
  std::sort(found, found + kRepeats);
  std::printf("a barrier between two threads: median %.0f ns, worst of %d means %.0f ns\n",
              found[kRepeats / 2], kRepeats, found[kRepeats - 1]);
}
