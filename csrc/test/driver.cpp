// Checks the library through its C ABI against the recurrence written out as plain loops in double
// precision. It needs neither torch nor a test framework, so that it can run under sanitizers, under an
// emulator and on a bare machine.
//
//   driver [--quick] [--exhaustive-tanh]
//
// --quick: fewer cases and samples, for an emulator. --exhaustive-tanh: also every float up to 9.5.
// The exit code is 0 only if everything passed.
//
// Every array handed over is a heap block of exactly its size, filled with NaN bytes, so that
// AddressSanitizer sees an overrun by one and an element that was never written spoils the comparison.
//
// Note [tolerance]
//
// With eps the distance from 1 to the next number, results must satisfy
//
//   ||result - reference||_F <= 8 eps sqrt(T) ||reference||_F.
//
// One rounding errs by eps/2 at most, in effect at random. A sum of n terms added in turn then errs by
// about eps/2 sqrt(n/3) of its terms' size: 3.5 eps for the longest here (about 150 terms, or the rows
// of a few groups), and as much again for the states it is taken of. A step adds errors of that size to
// what it was given, at random too, hence sqrt(T). None grows on the way: A damps by more than W
// amplifies, and the arguments of tanh stay of order 1, so that rounding it moves 1 - tanh^2 by few eps.
// Nor does a sum come out much smaller than its terms: all numbers but those of A have a positive mean.
// Except the gradient of a step: a slope is what drives a state less what damps it, and may be near 0;
// there the sum of the terms' sizes stands in the place of ||reference||.

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../lipschitz_scan.h"

namespace {

// ---- the record -------------------------------------------------------------------------------------

bool quick = false;
int64_t all_checks = 0, all_failures = 0;

// One group of checks, which prints one line at its end.
struct Group {
  std::string name;
  int64_t checks = 0, failures = 0;
  double worst = 0.0;  // of errors, in units of what is allowed
  std::string worst_at;

  explicit Group(std::string n) : name(std::move(n)) {}

  bool expect(bool passed, const char *format, ...) __attribute__((format(printf, 3, 4))) {
    ++checks;
    if (passed) return true;
    if (++failures <= 10) {
      va_list arguments;
      va_start(arguments, format);
      std::fprintf(stderr, "FAILED %s: ", name.c_str());
      std::vfprintf(stderr, format, arguments);
      std::fputc('\n', stderr);
      va_end(arguments);
    }
    return false;
  }

  // `ratio` is an error over the error allowed; a NaN fails.
  void expect_within(double ratio, const std::string &what) {
    expect(ratio <= 1.0, "%s: %.3g times the error allowed", what.c_str(), ratio);
    if (ratio > worst || ratio != ratio) {
      worst = ratio;
      worst_at = what;
    }
  }

  void close(const std::string &remark = "") {
    std::printf("%-6s %-28s %8lld checks", failures ? "FAILED" : "ok", name.c_str(), (long long)checks);
    if (failures) std::printf(", %lld failed", (long long)failures);
    if (!worst_at.empty()) std::printf(", worst ratio %.3f (%s)", worst, worst_at.c_str());
    std::printf("%s%s\n", remark.empty() ? "" : "; ", remark.c_str());
    std::fflush(stdout);
    all_checks += checks;
    all_failures += failures;
  }
};

// ---- memory and numbers -----------------------------------------------------------------------------

// `count` numbers in a heap block that ends with the last of them, all bytes 0xFF: NaN. Every second
// buffer starts at an odd number, as the ABI asks for no more alignment than the type's own.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count = 0) : count_(count) {
    static bool odd = false;
    odd = !odd;
    if (!count) return;
    const size_t lead = odd ? sizeof(T) : 0, bytes = (size_t)count * sizeof(T);
    block_ = static_cast<char *>(std::malloc(lead + bytes));
    if (!block_) std::abort();
    std::memset(block_, 0xFF, lead + bytes);
    data_ = reinterpret_cast<T *>(block_ + lead);
  }
  Buffer(Buffer &&other) noexcept { swap(other); }
  Buffer &operator=(Buffer &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(block_); }

  // NULL where there are no elements.
  T *data() const { return data_; }
  int64_t count() const { return count_; }
  T &operator[](int64_t i) const { return data_[i]; }
  bool same_bytes(const Buffer &other) const {
    return count_ == other.count_ && (!count_ || !std::memcmp(data_, other.data_, count_ * sizeof(T)));
  }

 private:
  void swap(Buffer &other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  char *block_ = nullptr;
  T *data_ = nullptr;
  int64_t count_;
};

// Exactly `bytes` bytes, aligned to 64.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) {
    if (posix_memalign(&data_, 64, bytes > 0 ? (size_t)bytes : 1)) std::abort();
    if (bytes > 0) std::memset(data_, 0xFF, (size_t)bytes);
  }
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;
  ~Workspace() { std::free(data_); }
  void *data() const { return data_; }

 private:
  void *data_ = nullptr;
};

// Numbers that are the same everywhere (splitmix64), in [from, to).
struct Random {
  uint64_t state;
  double uniform(double from, double to) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return from + (to - from) * (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
};

template <class T>
Buffer<T> random_buffer(Random &random, int64_t count, double from, double to) {
  Buffer<T> made(count);
  for (int64_t i = 0; i < count; ++i) made[i] = (T)random.uniform(from, to);
  return made;
}

// ---- the library by element type --------------------------------------------------------------------

template <class T>
struct Api;

#define API_FOR_TYPE(T, S)                                                              \
  template <>                                                                           \
  struct Api<T> {                                                                       \
    static constexpr const char *name = #S;                                             \
    static constexpr auto forward_workspace = lipschitz_scan_forward_workspace_##S;     \
    static constexpr auto backward_workspace = lipschitz_scan_backward_workspace_##S;   \
    static constexpr auto forward = lipschitz_scan_forward_##S;                         \
    static constexpr auto backward = lipschitz_scan_backward_##S;                       \
    static constexpr auto pack_bytes = lipschitz_scan_pack_bytes_##S;                   \
    static constexpr auto pack = lipschitz_scan_pack_##S;                               \
    static constexpr auto step = lipschitz_scan_step_##S;                               \
    static constexpr auto tanh = lipschitz_scan_tanh_##S;                               \
  };
API_FOR_TYPE(float, f32)
API_FOR_TYPE(double, f64)

std::vector<int> variants() {
  std::vector<int> found;
  for (int variant = 0; variant < 8; ++variant)
    if (lipschitz_scan_has_variant(variant)) found.push_back(variant);
  return found;
}

template <class T>
std::string title(const char *what, int variant) {
  return std::string(what) + " " + Api<T>::name + " " + lipschitz_scan_variant_name(variant);
}

// ---- a problem and its reference --------------------------------------------------------------------

struct Sizes {
  int64_t steps, batch, hidden, features;
};

enum StepSizes { kScalar, kPerStep, kPerSample };

// What varies beside the sizes.
struct Kind {
  int method;
  bool linear, bias;
  int step_sizes;
  bool grad_states, grad_last;
};
constexpr int kKinds = 2 * 2 * 2 * 3 * 4;

Kind kind_at(int index) {
  auto next = [&index](int count) {
    const int digit = index % count;
    index /= count;
    return digit;
  };
  Kind kind;
  kind.method = next(2);
  kind.linear = next(2);
  kind.bias = next(2);
  kind.step_sizes = next(3);
  kind.grad_states = next(2);
  kind.grad_last = next(2);
  return kind;
}

template <class T>
struct Problem {
  Sizes n;
  Kind kind;
  Buffer<T> input, h0, a, w, u, b, step_sizes, grad_states, grad_last;
  double step_size;

  Problem(const Sizes &sizes, const Kind &k, uint64_t seed) : n(sizes), kind(k) {
    Random random{seed};
    const int64_t square = n.hidden * n.hidden, plane = n.batch * n.hidden;
    input = random_buffer<T>(random, n.steps * n.batch * n.features, 0.1, 1.0);
    h0 = random_buffer<T>(random, plane, 0.1, 1.0);
    // The mean of W has norm 1/4, its deviations (uniform +-s: 2 s sqrt(N / 3)) about as much.
    const double scale = 0.25 / std::sqrt((double)n.hidden), mean = 0.25 / (double)n.hidden;
    w = random_buffer<T>(random, square, mean - scale, mean + scale);
    a = random_buffer<T>(random, kind.linear ? square : 0, -3 * scale, 3 * scale);
    if (kind.linear) make_damped();
    const double thin = n.features ? 0.5 / (double)n.features : 0.0;
    u = random_buffer<T>(random, n.hidden * n.features, 0.1 * thin, thin);
    b = random_buffer<T>(random, kind.bias ? n.hidden : 0, 0.05, 0.25);
    const int64_t sizes_count[] = {0, n.steps, n.steps * n.batch};
    step_size = random.uniform(0.05, 0.15);
    step_sizes = random_buffer<T>(random, sizes_count[kind.step_sizes], 0.02, 0.2);
    grad_states = random_buffer<T>(random, kind.grad_states ? n.steps * plane : 0, 0.1, 1.0);
    grad_last = random_buffer<T>(random, kind.grad_last ? plane : 0, 0.1, 1.0);
  }

  // A <- (A - A^T)/2 - I: the skew part turns without growth.
  void make_damped() {
    for (int64_t i = 0; i < n.hidden; ++i)
      for (int64_t k = 0; k <= i; ++k) {
        const T skew = (a[i * n.hidden + k] - a[k * n.hidden + i]) / 2;
        a[i * n.hidden + k] = skew - (i == k);
        a[k * n.hidden + i] = -skew - (i == k);
      }
  }

  double step_at(int64_t t, int64_t row) const {
    if (kind.step_sizes == kScalar) return (double)(T)step_size;
    return (double)step_sizes[kind.step_sizes == kPerStep ? t : t * n.batch + row];
  }

  int stages() const { return kind.method == LIPSCHITZ_SCAN_MIDPOINT ? 2 : 1; }

  std::string describe() const {
    char text[160];
    std::snprintf(text, sizeof text, "T=%lld B=%lld N=%lld P=%lld %s%s%s%s%s%s", (long long)n.steps,
                  (long long)n.batch, (long long)n.hidden, (long long)n.features,
                  kind.method == LIPSCHITZ_SCAN_MIDPOINT ? "midpoint" : "euler", kind.linear ? " A" : "",
                  kind.bias ? " b" : "",
                  kind.step_sizes == kScalar ? "" : kind.step_sizes == kPerStep ? " e(t)" : " e(t,row)",
                  kind.grad_states ? " gs" : "", kind.grad_last ? " gl" : "");
    return text;
  }
};

typedef std::vector<double> Numbers;

template <class T>
Numbers widen(const Buffer<T> &from) {
  return Numbers(from.data(), from.data() + from.count());
}

// The recurrence and its adjoint as they stand in the header, one row at a time.
struct Reference {
  int64_t T, B, N, P;
  Numbers input, a, w, u, b;
  Numbers states;  // (T + 1, B, N), from h_0 on
  Numbers middle;  // (T, B, N): h~
  Numbers tanhs[2];
  Numbers grad_input, grad_h0, grad_a, grad_w, grad_u, grad_b, grad_step;
  Numbers grad_step_terms;  // (T, B): the sizes of what grad_step adds up

  template <class Type>
  explicit Reference(const Problem<Type> &p)
      : T(p.n.steps), B(p.n.batch), N(p.n.hidden), P(p.n.features), input(widen(p.input)), a(widen(p.a)),
        w(widen(p.w)), u(widen(p.u)), b(widen(p.b)) {
    forward(p);
    backward(p);
  }

  // out = base + step (A in + y), y = tanh(W in + U x + b).
  void stage(const double *in, const double *x, const double *base, double step, double *y,
             double *out) {
    for (int64_t i = 0; i < N; ++i) {
      double z = b.empty() ? 0.0 : b[i], linear = 0.0;
      for (int64_t k = 0; k < P; ++k) z += u[i * P + k] * x[k];
      for (int64_t k = 0; k < N; ++k) z += w[i * N + k] * in[k];
      for (int64_t k = 0; k < N && !a.empty(); ++k) linear += a[i * N + k] * in[k];
      y[i] = std::tanh(z);
      out[i] = base[i] + step * (linear + y[i]);
    }
  }

  template <class Type>
  void forward(const Problem<Type> &p) {
    states = widen(p.h0);
    states.resize((T + 1) * B * N);
    middle = tanhs[0] = tanhs[1] = Numbers(T * B * N);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t r = 0; r < B; ++r) {
        const int64_t at = (t * B + r) * N;
        const double step = p.step_at(t, r), *x = input.data() + (t * B + r) * P, *h = &states[at];
        double *next = &states[at + B * N];
        if (p.kind.method == LIPSCHITZ_SCAN_EULER) {
          stage(h, x, h, step, &tanhs[0][at], next);
        } else {
          stage(h, x, h, step / 2, &tanhs[0][at], &middle[at]);
          stage(&middle[at], x, h, step, &tanhs[1][at], next);
        }
      }
  }

  // The adjoint of one stage: what flows into `in`, for lam flowing out of its result.
  // `share` of e_t is its step.
  Numbers stage_adjoint(const double *in, int64_t row, const double *y, double step, double share,
                        const Numbers &lam) {
    Numbers out(N);
    for (int64_t i = 0; i < N; ++i) {
      double slope = y[i], terms = std::fabs(y[i]);
      for (int64_t k = 0; k < N && !a.empty(); ++k) {
        slope += a[i * N + k] * in[k];
        terms += std::fabs(a[i * N + k] * in[k]);
      }
      grad_step[row] += share * lam[i] * slope;
      grad_step_terms[row] += std::fabs(share * lam[i]) * terms;
      const double mu = step * lam[i], dz = (1.0 - y[i] * y[i]) * mu;
      for (int64_t k = 0; k < N; ++k) {
        grad_w[i * N + k] += dz * in[k];
        out[k] += w[i * N + k] * dz;
        if (a.empty()) continue;
        grad_a[i * N + k] += mu * in[k];
        out[k] += a[i * N + k] * mu;
      }
      for (int64_t k = 0; k < P; ++k) {
        grad_u[i * P + k] += dz * input[row * P + k];
        grad_input[row * P + k] += u[i * P + k] * dz;
      }
      grad_b[i] += dz;
    }
    return out;
  }

  template <class Type>
  void backward(const Problem<Type> &p) {
    grad_input = Numbers(T * B * P);
    grad_a = Numbers(a.size());
    grad_w = Numbers(N * N);
    grad_u = Numbers(N * P);
    grad_b = Numbers(N);
    grad_step = grad_step_terms = Numbers(T * B);
    for (int64_t r = 0; r < B; ++r) {  // row by row, which keeps grad_h0 in order
      Numbers lam(N);
      auto add = [&](const Numbers &more) {
        for (int64_t i = 0; i < N; ++i) lam[i] += more[i];
      };
      if (p.kind.grad_last) add(Numbers(&p.grad_last[r * N], &p.grad_last[r * N] + N));
      for (int64_t t = T - 1; t >= 0; --t) {
        const int64_t row = t * B + r, at = row * N;
        const double step = p.step_at(t, r);
        if (p.kind.grad_states) add(Numbers(&p.grad_states[at], &p.grad_states[at] + N));
        if (p.kind.method == LIPSCHITZ_SCAN_EULER) {
          add(stage_adjoint(&states[at], row, &tanhs[0][at], step, 1.0, lam));
        } else {
          const Numbers inner = stage_adjoint(&middle[at], row, &tanhs[1][at], step, 1.0, lam);
          add(inner);
          add(stage_adjoint(&states[at], row, &tanhs[0][at], step / 2, 0.5, inner));
        }
      }
      grad_h0.insert(grad_h0.end(), lam.begin(), lam.end());
    }
  }
};

// ---- comparing --------------------------------------------------------------------------------------

// Error over error allowed (see Note [tolerance]); where the scale is zero nothing is allowed. The scale
// is the reference itself, or the sizes of the terms that it is the sum of where these may cancel.
template <class T>
double error_ratio(const T *result, const double *reference, const double *scale, int64_t count,
                   int64_t steps) {
  double error = 0.0, norm = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double difference = (double)result[i] - reference[i];
    error += difference * difference;
    norm += scale[i] * scale[i];
  }
  if (error == 0.0) return 0.0;
  const double eps = std::numeric_limits<T>::epsilon();
  return std::sqrt(error / norm) / (8.0 * eps * std::sqrt((double)steps));
}

template <class T>
double error_ratio(const T *result, const double *reference, int64_t count, int64_t steps) {
  return error_ratio(result, reference, reference, count, steps);
}

// ---- the scan ---------------------------------------------------------------------------------------

// How the forward pass leaves its trace for the backward one.
struct Storage {
  bool tanhs;
  int64_t stride;
};

std::vector<Storage> storages(const Sizes &n, int method) {
  std::vector<Storage> found;
  if (method == LIPSCHITZ_SCAN_EULER) found.push_back({true, 1});
  std::vector<int64_t> strides = {1, 2, 3, n.steps, n.steps + 5};
  std::sort(strides.begin(), strides.end());
  strides.erase(std::unique(strides.begin(), strides.end()), strides.end());
  for (int64_t stride : strides) found.push_back({false, stride});
  return found;
}

constexpr int kGradients = 7;
constexpr int kStepGradient = 6;
constexpr unsigned kAllGradients = (1u << kGradients) - 1;
const char *const kGradientNames[kGradients] = {"grad_input", "grad_h0", "grad_a",   "grad_w",
                                                "grad_u",     "grad_b",  "grad_step"};

// Where a call wants its gradients, in the order of their names.
struct Outputs {
  void **at[kGradients];
  explicit Outputs(lipschitz_scan_call &c)
      : at{&c.grad_input, &c.grad_h0, &c.grad_a, &c.grad_w, &c.grad_u, &c.grad_b, &c.grad_step} {}
};

template <class T>
struct Trace {
  Buffer<T> states, tanhs, last;
};

template <class T>
struct Gradients {
  Buffer<T> of[kGradients];  // in the order of kGradientNames; empty where not wanted
};

// One problem on one variant, number of threads and storage.
template <class T>
struct Scan {
  const Problem<T> &p;
  const Reference &reference;
  Group &group;
  int variant, threads;
  Storage storage;

  lipschitz_scan_call call() const {
    lipschitz_scan_call c;
    std::memset(&c, 0, sizeof c);
    c.steps = p.n.steps;
    c.batch = p.n.batch;
    c.hidden = p.n.hidden;
    c.features = p.n.features;
    c.method = p.kind.method;
    c.variant = variant;
    c.threads = threads;
    c.input = p.input.data();
    c.h0 = p.h0.data();
    c.a = p.a.data();
    c.w = p.w.data();
    c.u = p.u.data();
    c.b = p.b.data();
    c.step_sizes = p.step_sizes.data();
    c.step_per_sample = p.kind.step_sizes == kPerSample;
    c.step_size = p.step_size;
    c.stride = storage.stride;
    return c;
  }

  std::string describe(const char *what) const {
    char text[64];
    std::snprintf(text, sizeof text, "%s, %d threads, %s %lld, ", what, threads,
                  storage.tanhs ? "tanhs kept, stride" : "stride", (long long)storage.stride);
    return text + p.describe();
  }

  // Runs one pass with a workspace of exactly the bytes it asks for.
  void run(lipschitz_scan_call c, int64_t bytes, int (*pass)(const lipschitz_scan_call *),
           const char *what) const {
    group.expect(bytes >= 0, "%s: workspace of %lld bytes", describe(what).c_str(), (long long)bytes);
    const Workspace workspace(bytes);
    c.workspace = workspace.data();
    c.workspace_bytes = bytes;
    const int status = pass(&c);
    group.expect(status == LIPSCHITZ_SCAN_OK, "%s: status %d", describe(what).c_str(), status);
  }

  Trace<T> forward(bool want_trace, bool want_last) const {
    const int64_t plane = p.n.batch * p.n.hidden;
    Trace<T> made;
    if (want_trace) made.states = Buffer<T>(p.n.steps / storage.stride * plane);
    if (want_trace && storage.tanhs) made.tanhs = Buffer<T>(p.n.steps * plane);
    if (want_last) made.last = Buffer<T>(plane);
    lipschitz_scan_call c = call();
    c.states = made.states.data();
    c.tanhs = made.tanhs.data();
    c.last = made.last.data();
    run(c, Api<T>::forward_workspace(&c), Api<T>::forward, "forward");
    return made;
  }

  Gradients<T> backward(const Trace<T> &trace, unsigned wanted) const {
    const int64_t N = p.n.hidden, P = p.n.features, rows = p.n.steps * p.n.batch;
    const int64_t counts[] = {rows * P, p.n.batch * N, p.a.count(), N * N, N * P, N, rows};
    Gradients<T> made;
    for (int g = 0; g < kGradients; ++g)
      if (wanted >> g & 1) made.of[g] = Buffer<T>(counts[g]);
    lipschitz_scan_call c = call();
    c.states = trace.states.data();
    c.tanhs = trace.tanhs.data();
    c.grad_states = p.grad_states.data();
    c.grad_last = p.grad_last.data();
    const Outputs outputs(c);
    for (int g = 0; g < kGradients; ++g) *outputs.at[g] = made.of[g].data();
    run(c, Api<T>::backward_workspace(&c), Api<T>::backward, "backward");
    return made;
  }

  void compare(const T *result, const double *expected, int64_t count, const char *what) const {
    const double ratio = error_ratio(result, expected, count, p.n.steps);
    group.expect_within(ratio, describe(what));
  }

  void compare_trace(const Trace<T> &trace) const {
    const int64_t plane = p.n.batch * p.n.hidden;
    for (int64_t kept = 1; kept * plane <= trace.states.count(); ++kept)
      compare(trace.states.data() + (kept - 1) * plane,
              reference.states.data() + kept * storage.stride * plane, plane, "states");
    compare(trace.tanhs.data(), reference.tanhs[0].data(), trace.tanhs.count(), "tanhs");
    compare(trace.last.data(), reference.states.data() + p.n.steps * plane, trace.last.count(), "last");
  }

  void compare_gradients(const Gradients<T> &made) const {
    const Numbers *expected[] = {&reference.grad_input, &reference.grad_h0, &reference.grad_a,
                                 &reference.grad_w,     &reference.grad_u,  &reference.grad_b};
    for (int g = 0; g < kStepGradient; ++g)
      compare(made.of[g].data(), expected[g]->data(), made.of[g].count(), kGradientNames[g]);
    const Buffer<T> &step = made.of[kStepGradient];
    const double ratio = error_ratio(step.data(), reference.grad_step.data(),
                                     reference.grad_step_terms.data(), step.count(), p.n.steps);
    group.expect_within(ratio, describe(kGradientNames[kStepGradient]));
  }

  // All that a call may ask for whose forward pass kept what this one did.
  unsigned allowed() const {
    return storage.tanhs ? kAllGradients & ~(1u << kStepGradient) : kAllGradients;
  }

  // `thorough`: every gradient alone too, not just one choice of them.
  void check(bool thorough, unsigned turn) const {
    const Trace<T> trace = forward(true, true), again = forward(true, true);
    compare_trace(trace);
    group.expect(trace.states.same_bytes(again.states) && trace.tanhs.same_bytes(again.tanhs) &&
                     trace.last.same_bytes(again.last),
                 "%s differs when repeated", describe("forward").c_str());
    compare_trace(forward(false, turn % 2));
    const Gradients<T> made = backward(trace, allowed()), repeated = backward(trace, allowed());
    compare_gradients(made);
    for (int g = 0; g < kGradients; ++g)
      group.expect(made.of[g].same_bytes(repeated.of[g]), "%s differs when repeated",
                   describe(kGradientNames[g]).c_str());
    compare_gradients(backward(trace, turn * 37u % kAllGradients & allowed()));
    for (int g = 0; thorough && g < kGradients; ++g)
      compare_gradients(backward(trace, 1u << g & allowed()));
    if (storage.tanhs) compare_recomputed(trace, made);
  }

  // Without the tanhs, backward must find the same gradients; bitwise is more than the header promises.
  void compare_recomputed(const Trace<T> &trace, const Gradients<T> &kept) const {
    Trace<T> states;
    states.states = Buffer<T>(trace.states.count());
    std::memcpy(states.states.data(), trace.states.data(), trace.states.count() * sizeof(T));
    const Gradients<T> recomputed = backward(states, kAllGradients);
    compare_gradients(recomputed);
    for (int g = 0; g < kGradients; ++g) {
      const Numbers expected = widen(kept.of[g]);
      compare(recomputed.of[g].data(), expected.data(), kept.of[g].count(), "recomputed against kept");
    }
  }
};

// How many of the kinds of problem a shape is tried with: fewer where it is large, and then each with
// one way of storing only.
struct Shape {
  Sizes n;
  int kinds;
  int quick_kinds;
  bool small() const { return kinds >= 24; }
};

const Shape kShapes[] = {
    {{1, 1, 1, 0}, kKinds, 24},  // nothing but one number
    {{1, 1, 1, 1}, kKinds, 24},
    {{2, 1, 3, 2}, kKinds, 12},
    {{5, 3, 7, 5}, kKinds, 12},
    {{4, 2, 16, 1}, kKinds, 6},
    {{1, 13, 16, 8}, 24, 6},  // one full tile of 13 rows
    {{7, 6, 8, 4}, 24, 6},    // one of 6; P is half a vector of 8
    {{3, 14, 17, 9}, 24, 6},  // uneven tiles; a column more than a vector, a feature more than half
    {{6, 7, 9, 3}, 24, 6},
    {{40, 1, 5, 3}, 24, 6},
    {{130, 2, 10, 2}, 20, 4},  // several groups of the weight gradient
    {{2, 40, 65, 0}, 20, 2},
    {{1, 131, 20, 1}, 20, 4},  // more than 65 rows a thread: chunk after chunk
    {{3, 70, 33, 21}, 20, 4},
    {{9, 27, 31, 17}, 20, 2},
    {{12, 5, 64, 32}, 20, 2},
    {{3, 5, 47, 10}, 20, 2},
    {{5, 26, 130, 24}, 12, 1},
    {{12, 200, 40, 10}, 12, 2},  // from here on enough work for three threads
    {{14, 203, 33, 21}, 12, 1},  // 68 rows a thread: two chunks each
    {{60, 70, 24, 7}, 12, 1},
    {{100, 2, 130, 24}, 5, 0},  // fewer rows than threads
};

// Whether a number of threads makes a difference: the workspace has a share for each.
template <class T>
bool splits_further(const Scan<T> &scan) {
  lipschitz_scan_call now = scan.call(), before = now;
  --before.threads;
  int anything = 0;
  now.grad_w = before.grad_w = &anything;
  return Api<T>::backward_workspace(&now) != Api<T>::backward_workspace(&before);
}

template <class T>
void check_problem(const Shape &shape, const Kind &kind, unsigned turn, std::vector<Group> &groups,
                   int64_t *threaded) {
  const Problem<T> problem(shape.n, kind, 1000u + turn);
  const Reference reference(problem);
  const std::vector<int> all = variants();
  const std::vector<Storage> ways = storages(shape.n, kind.method);
  for (size_t v = 0; v < all.size(); ++v)
    for (int threads = 1; threads <= 3; ++threads)
      for (size_t s = 0; s < ways.size(); ++s) {
        if (!shape.small() && s != (turn + v + (size_t)threads) % ways.size()) continue;
        const Scan<T> scan{problem, reference, groups[v], all[v], threads, ways[s]};
        if (threads > 1 && !splits_further(scan)) continue;
        threaded[threads] += 1;
        scan.check(shape.kinds == kKinds, turn + 7u * (unsigned)s);
      }
}

template <class T>
void check_scan() {
  std::vector<Group> groups;
  for (int variant : variants()) groups.emplace_back(title<T>("scan", variant));
  int64_t threaded[4] = {};
  unsigned turn = 0;
  for (const Shape &shape : kShapes) {
    const int kinds = quick ? shape.quick_kinds : shape.kinds;
    // 35 has no factor in common with the number of kinds, so that any few of them are mixed well.
    for (int k = 0; k < kinds; ++k, ++turn)
      check_problem<T>(shape, kind_at((int)(turn * 35u % kKinds)), turn, groups, threaded);
  }
  for (Group &group : groups) group.close();
  Group split(std::string("threads ") + Api<T>::name);
  split.expect(threaded[2] && threaded[3], "no case was large enough for two or for three threads");
  char remark[80];
  std::snprintf(remark, sizeof remark, "%lld cases on one, %lld on two, %lld on three",
                (long long)threaded[1], (long long)threaded[2], (long long)threaded[3]);
  split.close(remark);
}

// ---- pack and step ----------------------------------------------------------------------------------

template <class T>
struct Stepper {
  const Problem<T> &p;
  int variant;

  void pack(Group &group, const Workspace &block) const {
    const int status = Api<T>::pack(p.n.hidden, p.n.features, p.a.data(), p.w.data(), p.u.data(),
                                    p.b.data(), variant, block.data());
    group.expect(status == LIPSCHITZ_SCAN_OK, "pack, %s: status %d", p.describe().c_str(), status);
  }

  int64_t bytes() const {
    return Api<T>::pack_bytes(p.n.hidden, p.n.features, p.kind.linear, variant);
  }

  // Advances h from time t; every array that step reads has exactly the elements of this step.
  void step(Group &group, const Workspace &block, int64_t t, const Buffer<T> &h) const {
    Buffer<T> x(p.n.batch * p.n.features), steps(p.kind.step_sizes == kScalar ? 0 : p.n.batch);
    for (int64_t i = 0; i < x.count(); ++i) x[i] = p.input[t * x.count() + i];
    for (int64_t i = 0; i < steps.count(); ++i) steps[i] = (T)p.step_at(t, i);
    const int status = Api<T>::step(block.data(), x.data(), h.data(), p.n.batch, p.step_size,
                                    steps.data(), p.kind.method);
    group.expect(status == LIPSCHITZ_SCAN_OK, "step, %s: status %d", p.describe().c_str(), status);
  }

  void check(Group &group, const Reference &reference) const {
    const int64_t plane = p.n.batch * p.n.hidden;
    const Workspace block(bytes());
    pack(group, block);
    Buffer<T> h(plane), again(plane);
    for (int64_t i = 0; i < plane; ++i) h[i] = again[i] = p.h0[i];
    for (int64_t t = 0; t < p.n.steps; ++t) {
      step(group, block, t, h);
      step(group, block, t, again);
      group.expect(h.same_bytes(again), "step %lld, %s: differs when repeated", (long long)t,
                   p.describe().c_str());
      group.expect_within(error_ratio(h.data(), reference.states.data() + (t + 1) * plane, plane, t + 1),
                          "step " + std::to_string(t) + ", " + p.describe());
    }
  }
};

template <class T>
void check_step_sizes(std::vector<Group> &groups, const Sizes &n, unsigned *turn) {
  const std::vector<int> all = variants();
  for (int index = 0; index < kKinds / 4; ++index, ++*turn) {
    if (quick && index % 5) continue;
    const Problem<T> problem(n, kind_at(index), 5000u + *turn);
    const Reference reference(problem);
    for (size_t v = 0; v < all.size(); ++v) Stepper<T>{problem, all[v]}.check(groups[v], reference);
  }
}

template <class T>
void check_step() {
  std::vector<Group> groups;
  for (int variant : variants()) groups.emplace_back(title<T>("step", variant));
  unsigned turn = 0;
  for (const Sizes &n : {Sizes{50, 1, 1, 0}, Sizes{50, 1, 24, 5}, Sizes{50, 20, 33, 3}})
    check_step_sizes<T>(groups, n, &turn);
  // So wide that a few rows fill the scratch memory of a step.
  const Kind kind{LIPSCHITZ_SCAN_EULER, true, true, kScalar, false, false};
  const Problem<T> wide(Sizes{1, 20, quick ? 450 : 1000, 9}, kind, 6000u);
  const Reference reference(wide);
  const std::vector<int> all = variants();
  for (size_t v = 0; v < all.size(); ++v) Stepper<T>{wide, all[v]}.check(groups[v], reference);
  for (Group &group : groups) group.close();
}

// ---- status codes -----------------------------------------------------------------------------------

typedef std::function<void(lipschitz_scan_call &)> Change;

struct BadCall {
  const char *what;
  int forward, backward;  // the statuses expected
  Change change;
};

constexpr int kOk = LIPSCHITZ_SCAN_OK;
constexpr int kArgument = LIPSCHITZ_SCAN_BAD_ARGUMENT;
constexpr int kVariant = LIPSCHITZ_SCAN_BAD_VARIANT;
constexpr int kWorkspace = LIPSCHITZ_SCAN_BAD_WORKSPACE;

// Sizes and flags: the workspace functions must refuse these too.
std::vector<BadCall> senseless_calls() {
  typedef lipschitz_scan_call Call;
  constexpr int64_t huge = (int64_t)1 << 40;
  return {
      {"no steps", kArgument, kArgument, [](Call &c) { c.steps = 0; }},
      {"negative steps", kArgument, kArgument, [](Call &c) { c.steps = -1; }},
      {"no batch", kArgument, kArgument, [](Call &c) { c.batch = 0; }},
      {"negative batch", kArgument, kArgument, [](Call &c) { c.batch = INT64_MIN; }},
      {"no hidden", kArgument, kArgument, [](Call &c) { c.hidden = 0; }},
      {"negative features", kArgument, kArgument, [](Call &c) { c.features = -1; }},
      {"method -1", kArgument, kArgument, [](Call &c) { c.method = -1; }},
      {"method 2", kArgument, kArgument, [](Call &c) { c.method = 2; }},
      {"variant -2", kVariant, kVariant, [](Call &c) { c.variant = -2; }},
      {"variant 7", kVariant, kVariant, [](Call &c) { c.variant = 7; }},
      {"no threads", kArgument, kArgument, [](Call &c) { c.threads = 0; }},
      {"negative threads", kArgument, kArgument, [](Call &c) { c.threads = INT32_MIN; }},
      {"reserved", kArgument, kArgument, [](Call &c) { c.reserved = 1; }},
      {"stride 0", kArgument, kArgument, [](Call &c) { c.stride = 0; }},
      {"stride -1", kArgument, kArgument, [](Call &c) { c.stride = -1; }},
      // The products of these leave 64 bits.
      {"huge steps", kArgument, kArgument, [](Call &c) { c.steps = INT64_MAX; }},
      {"huge batch", kArgument, kArgument, [](Call &c) { c.batch = INT64_MAX; }},
      {"huge hidden", kArgument, kArgument, [](Call &c) { c.hidden = INT64_MAX; }},
      {"huge features", kArgument, kArgument, [](Call &c) { c.features = INT64_MAX; }},
      {"2^40 hidden", kArgument, kArgument, [](Call &c) { c.hidden = huge; }},
      {"2^40 features", kArgument, kArgument, [](Call &c) { c.features = huge; }},
      {"2^40 steps and batch", kArgument, kArgument, [](Call &c) { c.steps = c.batch = huge; }},
      {"2^40 of everything", kArgument, kArgument,
       [](Call &c) { c.steps = c.batch = c.hidden = c.features = huge; }},
  };
}

// Pointers and the workspace.
std::vector<BadCall> bad_pointers() {
  typedef lipschitz_scan_call Call;
  return {
      {"nothing wrong", kOk, kOk, [](Call &) {}},
      {"no input", kArgument, kArgument, [](Call &c) { c.input = nullptr; }},
      {"no h0", kArgument, kArgument, [](Call &c) { c.h0 = nullptr; }},
      {"no w", kArgument, kArgument, [](Call &c) { c.w = nullptr; }},
      {"no u", kArgument, kArgument, [](Call &c) { c.u = nullptr; }},
      {"no states", kOk, kArgument, [](Call &c) { c.states = nullptr; }},
      {"no output at all", kOk, kOk,
       [](Call &c) {
         c.last = c.grad_input = c.grad_h0 = c.grad_a = c.grad_w = c.grad_u = c.grad_b = nullptr;
       }},
      {"gradients of the steps beside tanhs", kOk, kArgument, [](Call &c) { c.grad_step = c.grad_b; }},
      {"tanhs with midpoint", kArgument, kArgument, [](Call &c) { c.method = LIPSCHITZ_SCAN_MIDPOINT; }},
      {"tanhs with stride 2", kArgument, kArgument, [](Call &c) { c.stride = 2; }},
      {"no workspace", kWorkspace, kWorkspace, [](Call &c) { c.workspace = nullptr; }},
      {"misaligned workspace", kWorkspace, kWorkspace,
       [](Call &c) { c.workspace = static_cast<char *>(c.workspace) + 32; }},
      {"workspace one byte short", kWorkspace, kWorkspace, [](Call &c) { c.workspace_bytes -= 1; }},
      {"no bytes of workspace", kWorkspace, kWorkspace, [](Call &c) { c.workspace_bytes = 0; }},
      {"negative workspace", kWorkspace, kWorkspace, [](Call &c) { c.workspace_bytes = INT64_MIN; }},
  };
}

// A small call with every pointer in place; its outputs are overwritten again and again.
template <class T>
struct StatusCase {
  Problem<T> p{Sizes{3, 2, 5, 4}, Kind{LIPSCHITZ_SCAN_EULER, true, true, kScalar, false, false}, 7000u};
  Trace<T> trace;
  Gradients<T> made;

  StatusCase() {
    trace.states = Buffer<T>(30);
    trace.tanhs = Buffer<T>(30);
    trace.last = Buffer<T>(10);
    const int64_t counts[kGradients] = {24, 10, 25, 25, 20, 5, 6};
    for (int g = 0; g < kGradients; ++g) made.of[g] = Buffer<T>(counts[g]);
  }

  lipschitz_scan_call call() const {
    lipschitz_scan_call c;
    std::memset(&c, 0, sizeof c);
    c.steps = 3;
    c.batch = 2;
    c.hidden = 5;
    c.features = 4;
    c.variant = LIPSCHITZ_SCAN_AUTO;
    c.threads = c.stride = 1;
    c.step_size = 0.1;
    c.input = p.input.data();
    c.h0 = p.h0.data();
    c.a = p.a.data();
    c.w = p.w.data();
    c.u = p.u.data();
    c.b = p.b.data();
    c.states = trace.states.data();
    c.tanhs = trace.tanhs.data();
    c.last = trace.last.data();
    const Outputs outputs(c);
    for (int g = 0; g < kStepGradient; ++g) *outputs.at[g] = made.of[g].data();  // which tanhs forbid
    return c;
  }
};

// The status of a changed call, whose workspace is right for the unchanged one.
template <class T>
int changed_status(lipschitz_scan_call c, const Change &change, bool backward) {
  const int64_t bytes = backward ? Api<T>::backward_workspace(&c) : Api<T>::forward_workspace(&c);
  const Workspace workspace(bytes);
  c.workspace = workspace.data();
  c.workspace_bytes = bytes;
  change(c);
  return backward ? Api<T>::backward(&c) : Api<T>::forward(&c);
}

template <class T>
void check_call_status(Group &group) {
  const StatusCase<T> made;
  for (const std::vector<BadCall> &calls : {senseless_calls(), bad_pointers()})
    for (const BadCall &bad : calls) {
      const int forward = changed_status<T>(made.call(), bad.change, false);
      const int backward = changed_status<T>(made.call(), bad.change, true);
      group.expect(forward == bad.forward, "forward, %s: status %d", bad.what, forward);
      group.expect(backward == bad.backward, "backward, %s: status %d", bad.what, backward);
    }
  group.expect(Api<T>::forward(nullptr) == kArgument, "forward of NULL");
  group.expect(Api<T>::backward(nullptr) == kArgument, "backward of NULL");
}

template <class T>
void check_workspace_status(Group &group) {
  const StatusCase<T> made;
  for (const BadCall &bad : senseless_calls()) {
    lipschitz_scan_call c = made.call();
    bad.change(c);
    group.expect(Api<T>::forward_workspace(&c) == -1, "forward workspace, %s", bad.what);
    group.expect(Api<T>::backward_workspace(&c) == -1, "backward workspace, %s", bad.what);
  }
  group.expect(Api<T>::forward_workspace(nullptr) == -1, "forward workspace of NULL");
  group.expect(Api<T>::backward_workspace(nullptr) == -1, "backward workspace of NULL");
}

// Legal but far beyond any memory: the sizes must come out unspoilt by overflow.
template <class T>
void check_huge_but_legal(Group &group) {
  const StatusCase<T> made;
  lipschitz_scan_call c = made.call();
  c.tanhs = c.states = nullptr;
  c.stride = INT64_MAX;
  auto unchanged = [](lipschitz_scan_call &) {};
  group.expect(changed_status<T>(c, unchanged, false) == kOk, "forward with an endless stride");
  group.expect(changed_status<T>(c, unchanged, true) == kOk, "backward with an endless stride");
  c.threads = INT32_MAX;
  group.expect(changed_status<T>(c, unchanged, true) == kOk, "backward with any number of threads");
  c.steps = (int64_t)1 << 40;
  c.batch = c.hidden = c.features = 1;
  const int64_t least = ((int64_t)1 << 40) * (int64_t)sizeof(T);  // the states of the one segment
  group.expect(Api<T>::forward_workspace(&c) > 0, "forward workspace of 2^40 steps");
  group.expect(Api<T>::backward_workspace(&c) > least, "backward workspace of 2^40 steps");
  const Workspace workspace(64);
  c.workspace = workspace.data();
  c.workspace_bytes = 64;
  group.expect(Api<T>::forward(&c) == kWorkspace, "forward of 2^40 steps");
  group.expect(Api<T>::backward(&c) == kWorkspace, "backward of 2^40 steps");
}

template <class T>
void check_pack_status(Group &group) {
  typedef Api<T> A;
  const int best = LIPSCHITZ_SCAN_AUTO;
  Buffer<T> w(9), u(6), x(2), h(3);
  for (int i = 0; i < 9; ++i) w[i] = T(0);
  for (int i = 0; i < 6; ++i) u[i] = T(0);
  for (int i = 0; i < 3; ++i) h[i] = x[i % 2] = T(0);
  const int64_t huge = (int64_t)1 << 40, bytes = A::pack_bytes(3, 2, 0, best);
  for (int64_t n : {(int64_t)0, (int64_t)-1, (int64_t)6000, huge, INT64_MAX})
    group.expect(A::pack_bytes(n, 2, 1, best) == -1, "pack_bytes of %lld hidden", (long long)n);
  for (int64_t p : {(int64_t)-1, (int64_t)17000, huge, INT64_MAX})
    group.expect(A::pack_bytes(3, p, 1, best) == -1, "pack_bytes of %lld features", (long long)p);
  group.expect(A::pack_bytes(5000, 500, 1, best) > 0, "pack_bytes of 5000 hidden, which fit");
  group.expect(A::pack_bytes(3, 2, 1, 7) == -1, "pack_bytes of variant 7");
  const Workspace block(bytes), blank(bytes);
  char *at = static_cast<char *>(block.data());
  const T *none = nullptr;
  auto pack = [&](int64_t n, int64_t p, const T *weights, const T *inputs, int variant, void *to) {
    return A::pack(n, p, none, weights, inputs, none, variant, to);
  };
  group.expect(pack(3, 2, w.data(), u.data(), 7, at) == kVariant, "pack with variant 7");
  group.expect(pack(3, 2, none, u.data(), best, at) == kArgument, "pack without w");
  group.expect(pack(3, 2, w.data(), none, best, at) == kArgument, "pack without u");
  group.expect(pack(0, 2, w.data(), u.data(), best, at) == kArgument, "pack without hidden");
  group.expect(pack(huge, 2, w.data(), u.data(), best, at) == kArgument, "pack with 2^40 hidden");
  group.expect(pack(3, 2, w.data(), u.data(), best, nullptr) == kWorkspace, "pack into NULL");
  group.expect(pack(3, 2, w.data(), u.data(), best, at + 32) == kWorkspace, "pack, block misaligned");
  group.expect(pack(3, 2, w.data(), u.data(), best, at) == kOk, "pack");
  auto step = [&](const void *from, const T *xs, T *hs, int64_t batch, int method) {
    return A::step(from, xs, hs, batch, 0.1, none, method);
  };
  group.expect(step(nullptr, x.data(), h.data(), 1, 0) == kArgument, "step without a block");
  group.expect(step(blank.data(), x.data(), h.data(), 1, 0) == kArgument, "step, block never packed");
  group.expect(step(at, none, h.data(), 1, 0) == kArgument, "step without x");
  group.expect(step(at, x.data(), nullptr, 1, 0) == kArgument, "step without h");
  group.expect(step(at, x.data(), h.data(), -1, 0) == kArgument, "step of a negative batch");
  group.expect(step(at, x.data(), h.data(), 1, 2) == kArgument, "step with method 2");
  group.expect(step(at, x.data(), h.data(), 0, 0) == kOk, "step of an empty batch");
  group.expect(step(at, x.data(), h.data(), 1, 0) == kOk, "step");
}

// A block belongs to the element type it was made for.
void check_block_of_other_type(Group &group) {
  const float w = 0.0f;
  const double x = 0.0;
  double h = 0.0;
  const Workspace block(lipschitz_scan_pack_bytes_f32(1, 0, 0, LIPSCHITZ_SCAN_AUTO));
  lipschitz_scan_pack_f32(1, 0, nullptr, &w, nullptr, nullptr, LIPSCHITZ_SCAN_AUTO, block.data());
  const int status = lipschitz_scan_step_f64(block.data(), &x, &h, 1, 0.1, nullptr, 0);
  group.expect(status == kArgument, "a block of floats in a step of doubles: status %d", status);
}

void check_about(Group &group) {
  group.expect(lipschitz_scan_abi_version() == LIPSCHITZ_SCAN_ABI_VERSION, "the ABI's version");
  group.expect(lipschitz_scan_call_bytes() == (int64_t)sizeof(lipschitz_scan_call), "the call's size");
  const int best = lipschitz_scan_best_variant();
  group.expect(lipschitz_scan_has_variant(best), "the best variant, %d, is not there", best);
  group.expect(lipschitz_scan_has_variant(LIPSCHITZ_SCAN_BASELINE), "the baseline is not there");
  group.expect(!lipschitz_scan_has_variant(LIPSCHITZ_SCAN_AUTO), "AUTO is no variant to have");
  for (int variant : {-2, -1, 7, INT32_MAX, INT32_MIN}) {
    group.expect(!lipschitz_scan_has_variant(variant), "variant %d is there", variant);
    group.expect(!lipschitz_scan_variant_name(variant), "variant %d has a name", variant);
  }
  for (int variant : variants()) {
    group.expect(lipschitz_scan_variant_name(variant), "variant %d has no name", variant);
    group.expect(variant <= best, "variant %d is better than the best", variant);
    for (int threads = 1; threads <= 2; ++threads)
      group.expect(lipschitz_scan_peak_f32(10, threads, variant) > 0.0, "peak of variant %d", variant);
  }
  group.expect(lipschitz_scan_peak_f32(0, 1, best) == -1.0, "peak of no rounds");
  group.expect(lipschitz_scan_peak_f32(1, 0, best) == -1.0, "peak of no threads");
  group.expect(lipschitz_scan_peak_f32(1, 1, 7) == -1.0, "peak of variant 7");
}

template <class T>
void check_status() {
  Group group(std::string("status ") + Api<T>::name);
  check_call_status<T>(group);
  check_workspace_status<T>(group);
  check_huge_but_legal<T>(group);
  check_pack_status<T>(group);
  group.close();
}

// ---- tanh -------------------------------------------------------------------------------------------

template <class T>
struct Real;

template <>
struct Real<float> {
  typedef uint32_t Bits;
  typedef double Wide;
  static constexpr double beyond = 9.5;  // 1 from here on
  static constexpr double ulps = 2.0;
  static constexpr int digits = 23;
};

template <>
struct Real<double> {
  typedef uint64_t Bits;
  typedef long double Wide;
  static constexpr double beyond = 20.0;
  static constexpr double ulps = 1.5;
  static constexpr int digits = 52;
};

template <class T>
using Bits = typename Real<T>::Bits;

template <class T>
Bits<T> bits_of(T x) {
  Bits<T> bits;
  std::memcpy(&bits, &x, sizeof x);
  return bits;
}

template <class T>
T from_bits(Bits<T> bits) {
  T x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Whether the reference is more precise than the type.
template <class T>
constexpr bool has_wide() {
  return std::numeric_limits<typename Real<T>::Wide>::digits > std::numeric_limits<T>::digits;
}

// The distance between neighbours of T about `value`.
template <class T>
double ulp(double value) {
  int exponent;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, std::max(exponent, std::numeric_limits<T>::min_exponent) - 1 - Real<T>::digits);
}

// Feeds ascending positive numbers to one variant, block by block.
template <class T>
struct TanhWalk {
  typedef typename Real<T>::Wide Wide;
  Group group;
  int variant;
  T previous = T(0);
  double worst_ulps = 0.0;
  T worst_x = T(0);

  TanhWalk(const char *what, int v) : group(title<T>(what, v)), variant(v) {}

  std::vector<T> evaluate(const std::vector<T> &x) {
    std::vector<T> y(x.size());
    const int status = Api<T>::tanh(x.data(), y.data(), (int64_t)x.size(), variant);
    group.expect(status == LIPSCHITZ_SCAN_OK, "status %d", status);
    return y;
  }

  void take(const std::vector<T> &x, const std::vector<Wide> &expected) {
    std::vector<T> minus_x(x);
    for (T &value : minus_x) value = -value;
    const std::vector<T> y = evaluate(x), minus_y = evaluate(minus_x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (bits_of<T>(-y[i]) != bits_of<T>(minus_y[i]))
        group.expect(false, "tanh(-%.17g) is not minus tanh", (double)x[i]);
      if (!(y[i] >= previous && y[i] <= T(1)))
        group.expect(false, "tanh(%.17g) = %.17g after %.17g", (double)x[i], (double)y[i],
                     (double)previous);
      previous = y[i];
      if (has_wide<T>()) compare(x[i], y[i], expected[i]);
    }
    group.checks += (int64_t)x.size() * (has_wide<T>() ? 3 : 2);
  }

  void compare(T x, T y, Wide expected) {
    const double ulps = (double)std::fabs((Wide)y - expected) / ulp<T>((double)expected);
    if (!(ulps <= Real<T>::ulps)) group.expect(false, "tanh(%.17g): %.3f ulp", (double)x, ulps);
    if (ulps <= worst_ulps) return;
    worst_ulps = ulps;
    worst_x = x;
  }

  void close() {
    char text[64];
    std::snprintf(text, sizeof text, "%.3f ulp at %.17g", worst_ulps, (double)worst_x);
    if (has_wide<T>()) group.expect_within(worst_ulps / Real<T>::ulps, text);
    group.close(has_wide<T>() ? "" : "precision not checked: long double is no wider than double here");
  }
};

// Collects numbers into blocks and computes the reference once for all variants.
template <class T>
class TanhFeed {
 public:
  explicit TanhFeed(const char *what) {
    for (int variant : variants()) walks_.emplace_back(what, variant);
  }
  void add(T x) {
    block_.push_back(x);
    if (block_.size() == 4096) flush();
  }
  void close() {
    flush();
    for (TanhWalk<T> &walk : walks_) walk.close();
  }

 private:
  void flush() {
    std::vector<typename Real<T>::Wide> expected;
    for (T x : block_) expected.push_back(has_wide<T>() ? std::tanh((typename Real<T>::Wide)x) : 0);
    for (TanhWalk<T> &walk : walks_) walk.take(block_, expected);
    block_.clear();
  }
  std::vector<TanhWalk<T>> walks_;
  std::vector<T> block_;
};

// Where a different formula, exponent or power of two takes over.
template <class T>
std::vector<T> tanh_joints() {
  std::vector<T> found;
  for (int e = std::numeric_limits<T>::min_exponent - 1 - Real<T>::digits; e < 8; ++e)
    found.push_back((T)std::ldexp(1.0, e));
  for (int n = 0; n < 60; ++n)  // 2x = (n + 1/2) ln 2: the next n of the range reduction
    found.push_back((T)((n + 0.5) * 0.34657359027997264));
  for (double edge : {9.0, 9.0109, 9.25, 19.0, 19.0615, 19.5}) found.push_back((T)edge);
  return found;
}

template <class T>
void check_tanh_sample() {
  typedef Bits<T> B;
  // Ascending bits of positive numbers are ascending numbers.
  std::vector<B> sample;
  const B top = bits_of<T>(std::numeric_limits<T>::infinity());
  const int64_t count = sizeof(T) == 8 ? (quick ? 5000 : 400000) : quick ? 40000 : (int64_t)top / 97;
  for (int64_t i = 0; i < count; ++i) sample.push_back((B)i * (top / (B)count));
  if (sizeof(T) == 8)  // most of those above lie where tanh x = x
    for (int64_t i = 0; i < count; ++i)
      sample.push_back(bits_of<T>((T)((i + 0.37) * 20.0 / (double)count)));
  const B run = quick ? 16 : sizeof(T) == 8 ? 128 : 512;
  for (T joint : tanh_joints<T>()) {
    const B at = bits_of<T>(joint);
    for (B bits = at > run ? at - run : 0; bits <= at + run; ++bits) sample.push_back(bits);
  }
  std::sort(sample.begin(), sample.end());
  TanhFeed<T> feed("tanh");
  for (B bits : sample) feed.add(from_bits<T>(bits));
  feed.close();
}

void check_tanh_exhaustively() {
  TanhFeed<float> feed("every tanh");
  const uint32_t end = bits_of<float>((float)Real<float>::beyond);
  for (uint32_t bits = 0; bits <= end; ++bits) feed.add(from_bits<float>(bits));
  feed.close();
}

template <class T>
void check_tanh_special(Group &group, int variant) {
  typedef std::numeric_limits<T> Limits;
  const T tiny = Limits::denorm_min(), small = Limits::min(), inf = Limits::infinity();
  // tanh x rounds to x where x^2/3 is below half an ulp.
  for (T x : {T(0), tiny, 3 * tiny, small / 2, small - tiny, small, small + tiny, (T)1e-30, (T)1e-12})
    for (T signed_x : {x, -x}) {
      T y;
      Api<T>::tanh(&signed_x, &y, 1, variant);
      group.expect(bits_of<T>(y) == bits_of<T>(signed_x), "tanh(%.17g) = %.17g", (double)signed_x,
                   (double)y);
    }
  for (T x : {(T)Real<T>::beyond, T(100), T(1e10), Limits::max(), inf})
    for (T sign : {T(1), T(-1)}) {
      const T signed_x = sign * x;
      T y;
      Api<T>::tanh(&signed_x, &y, 1, variant);
      group.expect(y == sign, "tanh(%.17g) = %.17g", (double)signed_x, (double)y);
    }
  for (T nan : {Limits::quiet_NaN(), -Limits::quiet_NaN()}) {
    T y = T(0);
    Api<T>::tanh(&nan, &y, 1, variant);
    group.expect(y != y, "tanh(NaN) = %.17g", (double)y);
  }
}

// Every length up to a few vectors, apart and in place: the same numbers whatever their lane.
template <class T>
void check_tanh_lengths(Group &group, int variant) {
  for (int64_t count = 0; count < 70; ++count) {
    Buffer<T> x(count), y(count), in_place(count);
    for (int64_t i = 0; i < count; ++i) x[i] = in_place[i] = (T)(0.11 * (double)(i - 30));
    const int status = Api<T>::tanh(x.data(), y.data(), count, variant) |
                       Api<T>::tanh(in_place.data(), in_place.data(), count, variant);
    group.expect(status == LIPSCHITZ_SCAN_OK, "%lld numbers: status %d", (long long)count, status);
    group.expect(y.same_bytes(in_place), "%lld numbers: in place differs", (long long)count);
    for (int64_t i = 0; i < count; ++i) {
      T alone;
      Api<T>::tanh(&x[i], &alone, 1, variant);
      group.expect(bits_of<T>(alone) == bits_of<T>(y[i]), "number %lld of %lld: not as when alone",
                   (long long)i, (long long)count);
    }
  }
  T one = T(1);
  group.expect(Api<T>::tanh(nullptr, &one, 1, variant) == kArgument, "tanh of NULL");
  group.expect(Api<T>::tanh(&one, nullptr, 1, variant) == kArgument, "tanh into NULL");
  group.expect(Api<T>::tanh(&one, &one, -1, variant) == kArgument, "tanh of fewer than no numbers");
  group.expect(Api<T>::tanh(&one, &one, 1, 7) == kVariant, "tanh of variant 7");
}

template <class T>
void check_tanh() {
  Group group(std::string("tanh special ") + Api<T>::name);
  for (int variant : variants()) {
    check_tanh_special<T>(group, variant);
    check_tanh_lengths<T>(group, variant);
  }
  group.close();
  check_tanh_sample<T>();
}

}  // namespace

int main(int count, char **arguments) {
  bool exhaustive = false;
  for (int i = 1; i < count; ++i) {
    if (!std::strcmp(arguments[i], "--quick")) {
      quick = true;
    } else if (!std::strcmp(arguments[i], "--exhaustive-tanh")) {
      exhaustive = true;
    } else {
      std::fprintf(stderr, "usage: %s [--quick] [--exhaustive-tanh]\n", arguments[0]);
      return 2;
    }
  }
  Group about("about");
  check_about(about);
  check_block_of_other_type(about);
  about.close();
  check_status<float>();
  check_status<double>();
  check_tanh<float>();
  check_tanh<double>();
  if (exhaustive) check_tanh_exhaustively();
  check_step<float>();
  check_step<double>();
  check_scan<float>();
  check_scan<double>();
  std::printf("%s: %lld checks, %lld failed\n", all_failures ? "FAILED" : "all passed",
              (long long)all_checks, (long long)all_failures);
  return all_failures ? 1 : 0;
}
