/* The C ABI of the native Lipschitz recurrence. No torch, no Python, no C++ in this header.

   One call runs a whole sequence,

       h_{t+1} = h_t + e_t (A h_t + tanh(W h_t + U x_t + b)),   t = 0 .. T-1     (Euler)
       h~      = h_t + e_t/2 (A h_t + tanh(W h_t + U x_t + b)),
       h_{t+1} = h_t + e_t (A h~ + tanh(W h~ + U x_t + b))                       (midpoint)

   or its adjoint. See csrc/README.md for the derivation and the memory layout.

   Rules that hold for every function here:
   - every array is dense, row-major, of the function's own element type (float for _f32, double for
     _f64), aligned at least to that type, and owned by the caller, who keeps it alive for the call;
   - outputs must not overlap inputs or each other, and need not be initialised;
   - nothing is allocated but threads; nothing is thrown; no state is kept between calls;
   - every pointer marked "or NULL" may be NULL, no other may, unless it has no elements. */
#ifndef LIPSCHITZ_SCAN_H
#define LIPSCHITZ_SCAN_H

#include <stdint.h>

#if defined(_WIN32)
#define LIPSCHITZ_SCAN_API __declspec(dllexport)
#else
#define LIPSCHITZ_SCAN_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct or a signature below changes. */
#define LIPSCHITZ_SCAN_ABI_VERSION 2

enum lipschitz_scan_status {
  LIPSCHITZ_SCAN_OK = 0,
  LIPSCHITZ_SCAN_BAD_ARGUMENT = 1, /* a size, a pointer or a flag that makes no sense */
  LIPSCHITZ_SCAN_BAD_VARIANT = 2,  /* this machine cannot run the variant asked for */
  LIPSCHITZ_SCAN_BAD_WORKSPACE = 3 /* the workspace is too small or not aligned to 64 bytes */
};

enum lipschitz_scan_method { LIPSCHITZ_SCAN_EULER = 0, LIPSCHITZ_SCAN_MIDPOINT = 1 };

/* Which instructions run. AUTO takes the widest that the processor has. */
enum lipschitz_scan_variant {
  LIPSCHITZ_SCAN_AUTO = -1,
  LIPSCHITZ_SCAN_BASELINE = 0, /* what every processor of the architecture has */
  LIPSCHITZ_SCAN_AVX2 = 1,     /* AVX2 and FMA */
  LIPSCHITZ_SCAN_AVX512 = 2    /* AVX-512 F, BW, DQ, VL */
};

/* One recurrence. Zero the struct first; then fill what the function reads. */
typedef struct lipschitz_scan_call {
  int64_t steps;    /* T >= 1 */
  int64_t batch;    /* B >= 1 */
  int64_t hidden;   /* N >= 1 */
  int64_t features; /* P >= 0 */
  int32_t method;
  int32_t variant;
  int32_t threads;  /* at most so many; fewer where there are fewer rows or little to do */
  int32_t reserved; /* 0 */

  /* Read by both. */
  const void *input;      /* (T, B, P) */
  const void *h0;         /* (B, N) */
  const void *a;          /* (N, N), or NULL: no linear term */
  const void *w;          /* (N, N) */
  const void *u;          /* (N, P) */
  const void *b;          /* (N), or NULL: no bias */
  const void *step_sizes; /* (T) or (T, B), or NULL: `step_size` for all */
  int64_t step_per_sample; /* not 0: step_sizes is (T, B); 0: (T) */
  double step_size;

  /* Written by forward, read by backward. */
  int64_t stride; /* k >= 1: states h_k, h_2k, .. are kept; 1 keeps every state */
  void *states;   /* (floor(T / k), B, N), or NULL: forward keeps none */
  void *tanhs;    /* (T, B, N), or NULL; Euler with k = 1 only: tanh(W h_t + U x_t + b). Backward
                     without it computes the states between those kept once more. */
  /* Written by forward. */
  void *last; /* (B, N): h_T, or NULL */

  /* Read by backward. */
  const void *grad_states; /* (T, B, N), or NULL: zero */
  const void *grad_last;   /* (B, N), or NULL: zero */
  /* Written by backward; NULL where a gradient is not wanted. */
  void *grad_input; /* (T, B, P) */
  void *grad_h0;    /* (B, N) */
  void *grad_a;     /* (N, N); left alone if there is no A */
  void *grad_w;     /* (N, N) */
  void *grad_u;     /* (N, P) */
  void *grad_b;     /* (N) */
  void *grad_step;  /* (T, B): of every sample's own e_t, to be summed over samples that share it;
                       wants tanhs to be NULL, since the slopes are computed once more */

  /* Scratch memory, aligned to 64 bytes, of at least the size the functions below ask for. */
  void *workspace;
  int64_t workspace_bytes;
} lipschitz_scan_call;

/* Bytes of workspace that the call needs, or -1 for sizes that make no sense. Reads the sizes,
   method, variant, threads, stride, and which pointers are NULL. */
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_forward_workspace_f32(const lipschitz_scan_call *call);
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_forward_workspace_f64(const lipschitz_scan_call *call);
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_backward_workspace_f32(const lipschitz_scan_call *call);
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_backward_workspace_f64(const lipschitz_scan_call *call);

/* The sequence. Returns a lipschitz_scan_status. Results are bitwise the same for the same
   arguments, thread count and variant. */
LIPSCHITZ_SCAN_API int lipschitz_scan_forward_f32(const lipschitz_scan_call *call);
LIPSCHITZ_SCAN_API int lipschitz_scan_forward_f64(const lipschitz_scan_call *call);

/* Its adjoint: gradients of <grad_states, states> + <grad_last, last>. */
LIPSCHITZ_SCAN_API int lipschitz_scan_backward_f32(const lipschitz_scan_call *call);
LIPSCHITZ_SCAN_API int lipschitz_scan_backward_f64(const lipschitz_scan_call *call);

/* One step of one or a few streams, for serving and for embedding. `pack` lays the weights out once,
   into a caller's block of `pack_bytes` bytes aligned to 64; the block belongs to the variant it was
   made for. `step` then advances states in place; a block may be shared by threads, a state may not.

     size = lipschitz_scan_pack_bytes_f32(N, P, 1, LIPSCHITZ_SCAN_AUTO);      -1: too large, see below
     lipschitz_scan_pack_f32(N, P, a, w, u, b, LIPSCHITZ_SCAN_AUTO, block);   a, b may be NULL
     for (;;) lipschitz_scan_step_f32(block, x, h, 1, step_size, NULL, LIPSCHITZ_SCAN_EULER);

   x: (batch, P); h: (batch, N); step_sizes: (batch), or NULL for `step_size` everywhere. Pointers are
   checked for NULL, the block for having been made by `pack`. A step works on the stack, in 64 KiB
   (float) or 128 KiB (double), which holds 3 N + P up to about 16,000. */
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_pack_bytes_f32(int64_t hidden, int64_t features,
                                                         int has_linear, int variant);
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_pack_bytes_f64(int64_t hidden, int64_t features,
                                                         int has_linear, int variant);
LIPSCHITZ_SCAN_API int lipschitz_scan_pack_f32(int64_t hidden, int64_t features, const float *a,
                                               const float *w, const float *u, const float *b,
                                               int variant, void *block);
LIPSCHITZ_SCAN_API int lipschitz_scan_pack_f64(int64_t hidden, int64_t features, const double *a,
                                               const double *w, const double *u, const double *b,
                                               int variant, void *block);
LIPSCHITZ_SCAN_API int lipschitz_scan_step_f32(const void *block, const float *x, float *h,
                                               int64_t batch, double step_size,
                                               const float *step_sizes, int method);
LIPSCHITZ_SCAN_API int lipschitz_scan_step_f64(const void *block, const double *x, double *h,
                                               int64_t batch, double step_size,
                                               const double *step_sizes, int method);

/* The kernel's tanh on `count` numbers, for its tests. In place is allowed. */
LIPSCHITZ_SCAN_API int lipschitz_scan_tanh_f32(const float *x, float *y, int64_t count, int variant);
LIPSCHITZ_SCAN_API int lipschitz_scan_tanh_f64(const double *x, double *y, int64_t count,
                                               int variant);

/* Runs independent fused multiply-adds on `threads` threads at once, `rounds` rounds each, and
   returns the floating-point operations of all threads together, or -1. Time it for the peak. */
LIPSCHITZ_SCAN_API double lipschitz_scan_peak_f32(int64_t rounds, int threads, int variant);

LIPSCHITZ_SCAN_API int lipschitz_scan_abi_version(void);
/* sizeof(lipschitz_scan_call), to check a binding's idea of it. */
LIPSCHITZ_SCAN_API int64_t lipschitz_scan_call_bytes(void);
/* The variant that AUTO means here, and the name of a variant, or NULL if it was not built. */
LIPSCHITZ_SCAN_API int lipschitz_scan_best_variant(void);
LIPSCHITZ_SCAN_API const char *lipschitz_scan_variant_name(int variant);
/* 1 if the variant was built and this processor can run it. */
LIPSCHITZ_SCAN_API int lipschitz_scan_has_variant(int variant);

#ifdef __cplusplus
}
#endif

#endif
