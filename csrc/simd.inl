// Vectors of the instruction set this file is compiled for, and their tanh. Included by
// scan_kernel.inl inside its namespace; no std:: here (see there).

#if defined(__AVX512F__)
#define LS_VECTOR_BYTES 64
#elif defined(__AVX__)
#define LS_VECTOR_BYTES 32
#else
#define LS_VECTOR_BYTES 16
#endif

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define LS_HAS_FMA 1
#else
#define LS_HAS_FMA 0
#endif

// Hides a value from the optimiser, in a vector register.
#if defined(__aarch64__)
#define LS_KEEP(v) __asm__ volatile("" : "+w"(v))
#elif defined(__AVX512F__)
#define LS_KEEP(v) __asm__ volatile("" : "+v"(v))
#else
#define LS_KEEP(v) __asm__ volatile("" : "+x"(v))
#endif

#define LS_INLINE inline __attribute__((always_inline))

template <class T>
struct Simd;

template <>
struct Simd<float> {
  static constexpr int lanes = LS_VECTOR_BYTES / 4;
  typedef float Vector __attribute__((vector_size(LS_VECTOR_BYTES)));
  typedef int32_t Ints __attribute__((vector_size(LS_VECTOR_BYTES)));
  typedef float Unaligned __attribute__((vector_size(LS_VECTOR_BYTES), aligned(4), may_alias));
};

template <>
struct Simd<double> {
  static constexpr int lanes = LS_VECTOR_BYTES / 8;
  typedef double Vector __attribute__((vector_size(LS_VECTOR_BYTES)));
  typedef int64_t Ints __attribute__((vector_size(LS_VECTOR_BYTES)));
  typedef double Unaligned __attribute__((vector_size(LS_VECTOR_BYTES), aligned(8), may_alias));
};

template <class T>
using Vec = typename Simd<T>::Vector;

// Subtracting zero is exact for every number, -0 and NaN too, so the compiler is free to see a plain
// broadcast; adding zero would change -0.
template <class T>
LS_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
LS_INLINE Vec<T> load(const T *p) {  // aligned
  return *reinterpret_cast<const Vec<T> *>(p);
}

template <class T>
LS_INLINE void store(T *p, Vec<T> v) {  // aligned
  *reinterpret_cast<Vec<T> *>(p) = v;
}

// The first `count` lanes of a row that may start anywhere; the others are zero.
template <class T>
LS_INLINE Vec<T> load_row(const T *p, int64_t count) {
  if (count >= Simd<T>::lanes) return *reinterpret_cast<const typename Simd<T>::Unaligned *>(p);
  Vec<T> v = {};
  for (int64_t lane = 0; lane < count; ++lane) v[lane] = p[lane];
  return v;
}

template <class T>
LS_INLINE void store_row(T *p, Vec<T> v, int64_t count) {
  if (count >= Simd<T>::lanes) {
    *reinterpret_cast<typename Simd<T>::Unaligned *>(p) = v;
  } else {
    for (int64_t lane = 0; lane < count; ++lane) p[lane] = v[lane];
  }
}

// A store that goes past the caches, to an aligned address. `finish_streams` must follow the last one.
template <class T>
LS_INLINE void stream(T *p, Vec<T> v) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<Vec<T> *>(p));
#elif defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i *>(p), (__m512i)v);
#elif defined(__AVX__)
  _mm256_stream_si256(reinterpret_cast<__m256i *>(p), (__m256i)v);
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i *>(p), (__m128i)v);
#else
  store<T>(p, v);
#endif
}

LS_INLINE void finish_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// Stores part of an array that the next step continues `ahead` numbers on. One too large for the caches
// is written past them, and where a row does not allow that, the next step's line is fetched by then: a
// store that misses would hold up the arithmetic.
template <class T>
LS_INLINE void store_away(T *p, Vec<T> v, int64_t count, int64_t ahead, bool past_caches) {
  if (past_caches && count >= Simd<T>::lanes &&
      reinterpret_cast<uintptr_t>(p) % LS_VECTOR_BYTES == 0) {
    stream<T>(p, v);
  } else {
    store_row<T>(p, v, count);
    __builtin_prefetch(p + ahead, 1);
  }
}

// Note [tanh]
//
// With 2|x| = n ln 2 + r, |r| <= ln(2)/2, and p = e^r - 1,
//
//   tanh |x| = (e^{2|x|} - 1) / (e^{2|x|} + 1) = ((2^n - 1) + 2^n p) / ((2^n + 1) + 2^n p),
//
// where 2^n - 1 and 2^n + 1 are exact. Numerator and denominator are each kept as a rounded number and
// what rounding left out, and the quotient is corrected by its residual, so that what reaches the
// last rounding carries an error far below the distance between the images of neighbouring floats:
// that, and not accuracy as such, is what makes the result monotone. One path serves all x: for
// n = 0 the numerator is p itself, accurate relative to |x|.

template <class T>
struct Tanh;

template <>
struct Tanh<float> {
  static constexpr float saturated = 9.25f;     // tanh(x) rounds to 1 from 9.0109 on
  static constexpr float magic = 12582912.0f;   // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float ln2_high = 0.693115234375f;  // 12 bits, so that n times it is exact
  static constexpr float ln2_low = 3.194618494530931e-05f;
  static constexpr int mantissa = 23;
  // (e^s - 1 - s) / s^2 on |s| <= ln(2)/2, relative error of e^s - 1 below 2^-26.1
  static constexpr float terms[] = {0.49999997f, 0.16666543f, 0.0416672f, 0.0083665475f,
                                    0.0013882506f};
};

template <>
struct Tanh<double> {
  static constexpr double saturated = 19.5;             // tanh(x) rounds to 1 from 19.0615 on
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 0.6931471805601177;  // 40 bits
  static constexpr double ln2_low = -1.7239444525614835e-13;
  static constexpr int mantissa = 52;
  // likewise, below 2^-61.6
  static constexpr double terms[] = {
      0.5,                   0.16666666666666677,   0.041666666666666505,  0.008333333333321653,
      0.0013888888888962617, 0.000198412698860749,  2.4801587172206915e-05, 2.7557244252856234e-06,
      2.7557402793808917e-07, 2.5109024894523356e-08, 2.087532365910542e-09};
};

// a - b * c with one rounding at most.
template <class T>
LS_INLINE Vec<T> residual(Vec<T> a, Vec<T> b, Vec<T> c) {
#if LS_HAS_FMA
  return a - b * c;  // one rounding, by -ffp-contract=fast and -O2 or more: see CMakeLists.txt
#else
  // Dekker's product: b = bh + bl and c = ch + cl in halves, whose products are exact.
  constexpr T split = sizeof(T) == 4 ? T(4097) : T(134217729);
  Vec<T> bs = b * split, bh = bs - (bs - b), bl = b - bh;
  Vec<T> cs = c * split, ch = cs - (cs - c), cl = c - ch;
  return (((a - bh * ch) - bh * cl) - bl * ch) - bl * cl;
#endif
}

// tanh of several vectors at once, in place. Statement by statement for all of them: one chain of
// thirty dependent operations would leave the arithmetic units waiting for each other.
template <class T, int COUNT>
LS_INLINE void tanh(Vec<T> (&x)[COUNT]) {
  typedef typename Simd<T>::Ints Ints;
  typedef Tanh<T> C;
  constexpr int last = sizeof(C::terms) / sizeof(T) - 1;
  Vec<T> ax[COUNT], n[COUNT], s[COUNT], p[COUNT], q[COUNT], scale[COUNT];
  Vec<T> top[COUNT], bottom[COUNT], top_low[COUNT], bottom_low[COUNT], y[COUNT];
#define LS_EACH _Pragma("GCC unroll 8") for (int i = 0; i < COUNT; ++i)
  const Ints sign = (Ints)broadcast<T>(T(-0.0));
  LS_EACH ax[i] = (Vec<T>)((Ints)x[i] & ~sign);
  LS_EACH ax[i] = ax[i] > C::saturated ? broadcast<T>(C::saturated) : ax[i];  // a NaN stays
  LS_EACH n[i] = ax[i] * T(2.8853900817779268) + C::magic;
  LS_EACH scale[i] = (Vec<T>)(((Ints)n[i] << C::mantissa) + (Ints)broadcast<T>(T(1)));  // 2^n
  LS_EACH n[i] = n[i] - C::magic;
  LS_EACH ax[i] = (ax[i] + ax[i]) - n[i] * C::ln2_high;  // exact
  LS_EACH s[i] = ax[i] - n[i] * C::ln2_low;
  LS_EACH q[i] = C::terms[last] * s[i] + C::terms[last - 1];
#pragma GCC unroll 16
  for (int k = last - 2; k >= 0; --k) LS_EACH q[i] = q[i] * s[i] + C::terms[k];
  LS_EACH p[i] = (s[i] * s[i]) * q[i] + s[i];
  Vec<T> scaled[COUNT];
  LS_EACH scaled[i] = scale[i] * p[i];  // exact
  LS_EACH LS_KEEP(scaled[i]);           // from fusing: additions have units of their own
  LS_EACH top[i] = scaled[i] + (scale[i] - T(1));
  LS_EACH bottom[i] = scaled[i] + (scale[i] + T(1));
  LS_EACH top_low[i] = scaled[i] - (top[i] - (scale[i] - T(1)));
  LS_EACH bottom_low[i] = scaled[i] - (bottom[i] - (scale[i] + T(1)));
  if constexpr (sizeof(T) == 8) {
    // What s and p lost in rounding, and the ones that do not fit beyond 2^53: half an ulp each.
    LS_EACH p[i] = ((ax[i] - s[i]) - n[i] * C::ln2_low) + ((s[i] - p[i]) + (s[i] * s[i]) * q[i]);
    LS_EACH top_low[i] += scale[i] * p[i] + ((scale[i] - (scale[i] - T(1))) - T(1));
    LS_EACH bottom_low[i] += scale[i] * p[i] + (T(1) - ((scale[i] + T(1)) - scale[i]));
  }
  LS_EACH q[i] = T(1) / bottom[i];
  LS_EACH y[i] = top[i] * q[i];
  LS_EACH top_low[i] = top_low[i] - y[i] * bottom_low[i];
  LS_EACH top[i] = residual<T>(top[i], y[i], bottom[i]) + top_low[i];
  LS_EACH y[i] = top[i] * q[i] + y[i];
  LS_EACH x[i] = (Vec<T>)((Ints)y[i] | ((Ints)x[i] & sign));
#undef LS_EACH
}

template <class T>
LS_INLINE Vec<T> tanh(Vec<T> x) {
  Vec<T> one[1] = {x};
  tanh<T, 1>(one);
  return one[0];
}
