// The C ABI: argument checks, choice of variant, and the split of the batch over threads.

#include <cfenv>
#include <cstdint>
#include <new>
#include <system_error>
#include <thread>

#include "kernel_table.h"
#include "lipschitz_scan.h"

namespace lipschitz_baseline {
extern const LipschitzVariant variant;
}
#if defined(LIPSCHITZ_HAS_X86_VARIANTS)
namespace lipschitz_avx2 {
extern const LipschitzVariant variant;
}
namespace lipschitz_avx512 {
extern const LipschitzVariant variant;
}
#endif

namespace {

constexpr int kMaxThreads = 256;
// Below this much work (multiply-adds) a thread costs more to start than it saves.
constexpr double kWorkPerThread = 2e6;

// The kernels of a variant, or NULL where it was not built or the processor lacks it.
const LipschitzVariant *find(int variant) {
  switch (variant) {
    case LIPSCHITZ_SCAN_BASELINE:
      return &lipschitz_baseline::variant;
#if defined(LIPSCHITZ_HAS_X86_VARIANTS)
    case LIPSCHITZ_SCAN_AVX2:
      if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &lipschitz_avx2::variant;
      return nullptr;
    case LIPSCHITZ_SCAN_AVX512:
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("fma"))
        return &lipschitz_avx512::variant;
      return nullptr;
#endif
    case LIPSCHITZ_SCAN_AUTO:
      return find(lipschitz_scan_best_variant());
    default:
      return nullptr;
  }
}

template <class T>
const LipschitzKernels *kernels(int variant) {
  const LipschitzVariant *found = find(variant);
  if (!found) return nullptr;
  return sizeof(T) == 4 ? &found->f32 : &found->f64;
}

// Runs work(0) .. work(threads - 1) at once, the first in this thread. The others take over its
// floating-point mode, so that flushing of denormals, say, does not depend on the row. A thread that
// cannot be started leaves its share to this one.
template <class Work>
void in_parallel(int threads, const Work &work) {
  std::thread started[kMaxThreads];
  std::fenv_t mode;
  std::fegetenv(&mode);
  int running = 1;
  for (; running < threads; ++running) {
    try {
      started[running] = std::thread([&work, &mode, running] {
        std::fesetenv(&mode);
        work(running);
      });
    } catch (const std::system_error &) {
      break;
    } catch (const std::bad_alloc &) {
      break;
    }
  }
  work(0);
  for (int index = running; index < threads; ++index) work(index);
  for (int index = 1; index < running; ++index) started[index].join();
}

// As many threads as asked for, but no more than there are rows, nor than the work is worth.
int count_threads(const lipschitz_scan_call &c) {
  const double row = (double)c.hidden * ((c.a ? 2.0 : 1.0) * (double)c.hidden + (double)c.features);
  const double useful = row * (double)c.steps * (double)c.batch / kWorkPerThread;
  int64_t threads = c.threads;
  if (threads > c.batch) threads = c.batch;
  if (threads > kMaxThreads) threads = kMaxThreads;
  if ((double)threads > useful) threads = (int64_t)useful;
  return threads < 1 ? 1 : (int)threads;
}

bool sizes_make_sense(const lipschitz_scan_call *c) {
  if (!c || c->steps < 1 || c->batch < 1 || c->hidden < 1 || c->features < 0) return false;
  if (c->method != LIPSCHITZ_SCAN_EULER && c->method != LIPSCHITZ_SCAN_MIDPOINT) return false;
  if (c->threads < 1 || c->stride < 1 || c->reserved) return false;
  // Products of three sizes are taken in 64 bits, times at most 48 bytes and a margin.
  const double widest = (double)c->hidden + (double)c->features + 64.0;
  const double most = (double)c->steps + widest + 256.0;
  return ((double)c->batch + 16.0) * widest * most < 1e16 && widest * widest < 1e14;
}

bool inputs_make_sense(const lipschitz_scan_call *c) {
  return sizes_make_sense(c) && (c->input || !c->features) && c->h0 && c->w &&
         (c->u || !c->features) && (!c->tanhs || (!c->method && c->stride == 1));
}

bool workspace_is_enough(const lipschitz_scan_call *c, int64_t bytes) {
  return c->workspace && reinterpret_cast<std::uintptr_t>(c->workspace) % 64 == 0 &&
         c->workspace_bytes >= bytes;
}

template <class T>
int64_t forward_workspace(const lipschitz_scan_call *c) {
  const LipschitzKernels *k = kernels<T>(c ? c->variant : -2);
  return k && sizes_make_sense(c) ? k->forward_bytes(*c, count_threads(*c)) : -1;
}

template <class T>
int64_t backward_workspace(const lipschitz_scan_call *c) {
  const LipschitzKernels *k = kernels<T>(c ? c->variant : -2);
  return k && sizes_make_sense(c) ? k->backward_bytes(*c, count_threads(*c)) : -1;
}

template <class T>
int forward(const lipschitz_scan_call *c) {
  if (!inputs_make_sense(c)) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  const LipschitzKernels *k = kernels<T>(c->variant);
  if (!k) return LIPSCHITZ_SCAN_BAD_VARIANT;
  const int threads = count_threads(*c);
  if (!workspace_is_enough(c, k->forward_bytes(*c, threads))) return LIPSCHITZ_SCAN_BAD_WORKSPACE;
  k->forward_prepare(*c, threads);
  in_parallel(threads, [&](int index) { k->forward_run(*c, threads, index); });
  return LIPSCHITZ_SCAN_OK;
}

template <class T>
int backward(const lipschitz_scan_call *c) {
  if (!inputs_make_sense(c)) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  if (!c->states && c->stride <= c->steps) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  if (c->grad_step && c->tanhs) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  const LipschitzKernels *k = kernels<T>(c->variant);
  if (!k) return LIPSCHITZ_SCAN_BAD_VARIANT;
  const int threads = count_threads(*c);
  if (!workspace_is_enough(c, k->backward_bytes(*c, threads))) return LIPSCHITZ_SCAN_BAD_WORKSPACE;
  k->backward_prepare(*c, threads);
  in_parallel(threads, [&](int index) { k->backward_run(*c, threads, index); });
  k->backward_finish(*c, threads);
  return LIPSCHITZ_SCAN_OK;
}

// What `pack` writes before the panels.
struct BlockHeader {
  uint64_t magic;
  int64_t hidden, features;
  int32_t variant, linear;
  int64_t unused[4];
};
static_assert(sizeof(BlockHeader) == 64, "the panels behind it must be aligned");

template <class T>
constexpr uint64_t magic() {
  return 0x6c69707363680000u + sizeof(T);
}

template <class T>
int64_t pack_bytes(int64_t hidden, int64_t features, int has_linear, int variant) {
  const LipschitzKernels *k = kernels<T>(variant);
  if (!k || hidden < 1 || features < 0 || hidden > 1000000 || features > 1000000) return -1;
  const int64_t bytes = k->pack_bytes(hidden, features, has_linear != 0);
  return bytes < 0 ? -1 : bytes + (int64_t)sizeof(BlockHeader);
}

template <class T>
int pack(int64_t hidden, int64_t features, const T *a, const T *w, const T *u, const T *b, int variant,
         void *block) {
  const LipschitzKernels *k = kernels<T>(variant);
  if (!k) return LIPSCHITZ_SCAN_BAD_VARIANT;
  if (pack_bytes<T>(hidden, features, a != nullptr, variant) < 0 || !w || (!u && features))
    return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  if (!block || reinterpret_cast<std::uintptr_t>(block) % 64) return LIPSCHITZ_SCAN_BAD_WORKSPACE;
  if (variant == LIPSCHITZ_SCAN_AUTO) variant = lipschitz_scan_best_variant();
  *static_cast<BlockHeader *>(block) = {magic<T>(), hidden, features, variant, a != nullptr, {}};
  k->pack(hidden, features, a, w, u, b, static_cast<char *>(block) + sizeof(BlockHeader));
  return LIPSCHITZ_SCAN_OK;
}

template <class T>
int step(const void *block, const T *x, T *h, int64_t batch, double step_size, const T *step_sizes,
         int method) {
  if (!block || !h || batch < 0) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  const BlockHeader &header = *static_cast<const BlockHeader *>(block);
  if (header.magic != magic<T>() || (!x && header.features)) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  if (method != LIPSCHITZ_SCAN_EULER && method != LIPSCHITZ_SCAN_MIDPOINT)
    return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  const LipschitzKernels *k = kernels<T>(header.variant);
  if (!k) return LIPSCHITZ_SCAN_BAD_VARIANT;
  k->step(header.hidden, header.features, header.linear, &header + 1, x, h, batch, step_size,
          step_sizes, method);
  return LIPSCHITZ_SCAN_OK;
}

template <class T>
int tanh_array(const T *x, T *y, int64_t count, int variant) {
  const LipschitzKernels *k = kernels<T>(variant);
  if (!k) return LIPSCHITZ_SCAN_BAD_VARIANT;
  if (count < 0 || (count && (!x || !y))) return LIPSCHITZ_SCAN_BAD_ARGUMENT;
  k->tanh(x, y, count);
  return LIPSCHITZ_SCAN_OK;
}

}  // namespace

extern "C" {

#define LIPSCHITZ_FOR_TYPE(T, S)                                                                      \
  int64_t lipschitz_scan_forward_workspace_##S(const lipschitz_scan_call *c) {                        \
    return forward_workspace<T>(c);                                                                   \
  }                                                                                                   \
  int64_t lipschitz_scan_backward_workspace_##S(const lipschitz_scan_call *c) {                       \
    return backward_workspace<T>(c);                                                                  \
  }                                                                                                   \
  int lipschitz_scan_forward_##S(const lipschitz_scan_call *c) { return forward<T>(c); }              \
  int lipschitz_scan_backward_##S(const lipschitz_scan_call *c) { return backward<T>(c); }            \
  int64_t lipschitz_scan_pack_bytes_##S(int64_t hidden, int64_t features, int has_linear,             \
                                        int variant) {                                                \
    return pack_bytes<T>(hidden, features, has_linear, variant);                                      \
  }                                                                                                   \
  int lipschitz_scan_pack_##S(int64_t hidden, int64_t features, const T *a, const T *w, const T *u,   \
                              const T *b, int variant, void *block) {                                 \
    return pack<T>(hidden, features, a, w, u, b, variant, block);                                     \
  }                                                                                                   \
  int lipschitz_scan_step_##S(const void *block, const T *x, T *h, int64_t batch, double step_size,   \
                              const T *step_sizes, int method) {                                      \
    return step<T>(block, x, h, batch, step_size, step_sizes, method);                                \
  }                                                                                                   \
  int lipschitz_scan_tanh_##S(const T *x, T *y, int64_t count, int variant) {                         \
    return tanh_array<T>(x, y, count, variant);                                                       \
  }

LIPSCHITZ_FOR_TYPE(float, f32)
LIPSCHITZ_FOR_TYPE(double, f64)

double lipschitz_scan_peak_f32(int64_t rounds, int threads, int variant) {
  const LipschitzVariant *found = find(variant);
  if (!found || rounds < 1 || threads < 1 || threads > kMaxThreads) return -1.0;
  double done[kMaxThreads] = {};
  in_parallel(threads, [&](int index) { done[index] = found->peak_f32(rounds); });
  double sum = 0.0;
  for (int index = 0; index < threads; ++index) sum += done[index];
  return sum;
}

int lipschitz_scan_abi_version(void) { return LIPSCHITZ_SCAN_ABI_VERSION; }

int64_t lipschitz_scan_call_bytes(void) { return sizeof(lipschitz_scan_call); }

int lipschitz_scan_has_variant(int variant) {
  return variant >= LIPSCHITZ_SCAN_BASELINE && find(variant) != nullptr;
}

int lipschitz_scan_best_variant(void) {
  for (int variant = LIPSCHITZ_SCAN_AVX512; variant > LIPSCHITZ_SCAN_BASELINE; --variant)
    if (lipschitz_scan_has_variant(variant)) return variant;
  return LIPSCHITZ_SCAN_BASELINE;
}

const char *lipschitz_scan_variant_name(int variant) {
#if defined(LIPSCHITZ_HAS_X86_VARIANTS)
  static const char *const names[] = {"baseline", "avx2", "avx512"};
  constexpr int count = 3;
#else
  static const char *const names[] = {"baseline"};
  constexpr int count = 1;
#endif
  return variant >= 0 && variant < count ? names[variant] : nullptr;
}

}  // extern "C"
