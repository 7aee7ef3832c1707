// What each variant offers to api.cpp.
#ifndef LIPSCHITZ_KERNEL_TABLE_H
#define LIPSCHITZ_KERNEL_TABLE_H

#include <stdint.h>

#include "lipschitz_scan.h"

// Work of one call on one element type. A call is: `plan` sizes the workspace for a number of
// threads; `prepare` packs what all threads read; `run` does rows [first, last) on thread `index`;
// `finish` adds up what the threads found. Backward alike.
struct LipschitzKernels {
  int64_t (*forward_bytes)(const lipschitz_scan_call &, int threads);
  void (*forward_prepare)(const lipschitz_scan_call &, int threads);
  void (*forward_run)(const lipschitz_scan_call &, int threads, int index);
  int64_t (*backward_bytes)(const lipschitz_scan_call &, int threads);
  void (*backward_prepare)(const lipschitz_scan_call &, int threads);
  void (*backward_run)(const lipschitz_scan_call &, int threads, int index);
  void (*backward_finish)(const lipschitz_scan_call &, int threads);
  int64_t (*pack_bytes)(int64_t hidden, int64_t features, bool linear);
  void (*pack)(int64_t hidden, int64_t features, const void *a, const void *w, const void *u,
               const void *b, void *block);
  void (*step)(int64_t hidden, int64_t features, bool linear, const void *block, const void *x,
               void *h, int64_t batch, double step_size, const void *step_sizes, int method);
  void (*tanh)(const void *x, void *y, int64_t count);
};

struct LipschitzVariant {
  LipschitzKernels f32, f64;
  double (*peak_f32)(int64_t rounds);  // floating-point operations done
};

#endif
