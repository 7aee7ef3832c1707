// The recurrence and its adjoint, forward and backward in time, for one instruction set.
//
// Compiled once per variant, each in a namespace of its own (LS_NAMESPACE), with that variant's
// compiler flags. Nothing of std:: may be used here: an inline function of the standard library is one
// shared symbol, and the linker might keep the copy with AVX-512 in it for everybody. This file
// exceeds the usual length because every function in it is a template on the same few shapes.
//
// See README.md for the layout of panels, tiles and groups, and for the two recurrences.

#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>  // for the stores past the caches; all else is vector extensions
#endif

#include "kernel_table.h"

namespace LS_NAMESPACE {

#include "simd.inl"

// ---- shapes -----------------------------------------------------------------------------------------

// Rows of one register tile, and the vectors that fit beside them: 2 * rows * pairs accumulators, two
// weights and a broadcast must fit the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMaxRows = 13;
constexpr int pairs_for(int rows) { return rows <= 3 ? 4 : rows == 4 ? 3 : rows <= 6 ? 2 : 1; }
constexpr int kOuterColumns = LS_VECTOR_BYTES == 64 ? 3 : 6;
#else
constexpr int kMaxRows = 6;
constexpr int pairs_for(int rows) { return rows == 1 ? 4 : rows == 2 ? 3 : rows == 3 ? 2 : 1; }
constexpr int kOuterColumns = 3;
#endif
// Rows of the weight gradient's register tile: a block, or half of a wide one.
template <class T>
constexpr int outer_rows() {
  constexpr int most = LS_VECTOR_BYTES == 64 ? 8 : 4;
  return Simd<T>::lanes < most ? Simd<T>::lanes : most;
}

LS_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
LS_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LS_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
struct Shape {
  static constexpr int L = Simd<T>::lanes;
  int64_t steps, batch, hidden, features;
  int64_t hidden_blocks, feature_blocks;
  bool linear;
  int stages;

  explicit Shape(const lipschitz_scan_call &c)
      : steps(c.steps),
        batch(c.batch),
        hidden(c.hidden),
        features(c.features),
        hidden_blocks(divide_up(c.hidden, L)),
        feature_blocks(divide_up(c.features, L)),
        linear(c.a != nullptr),
        stages(c.method == LIPSCHITZ_SCAN_MIDPOINT ? 2 : 1) {}

  // Forward panels: a column block of A beside the same one of W; without A, two blocks of W.
  int64_t forward_panels() const { return linear ? hidden_blocks : divide_up(hidden_blocks, 2); }
  int64_t input_vectors() const { return linear ? 1 : 2; }
  int64_t forward_panel_size() const { return (2 * hidden + input_vectors() * (features + 1)) * L; }
  // Backward panels: two column blocks, the rows of A before those of W.
  int64_t backward_panels() const { return divide_up(hidden_blocks, 2); }
  int64_t backward_panel_size() const { return (linear ? 2 : 1) * hidden * 2 * L; }
  int64_t input_panels() const { return divide_up(feature_blocks, 2); }
  int64_t input_panel_size() const { return hidden * 2 * L; }
  // Blocks of what flows back into the products: mu (for A) before dz (for W).
  int64_t adjoint_blocks() const { return (linear ? 2 : 1) * hidden_blocks; }
  // Few input features: dU is gathered by columns, which wastes no lanes.
  bool few_features() const { return features <= L / 2; }
};

// ---- packing ----------------------------------------------------------------------------------------

// Columns of Mᵀ as vectors: out[k][lane] = m[column + lane][k], zero beyond the matrix; `out` advances
// by `stride` numbers a row k.
template <class T>
void pack_transposed(const T *m, int64_t rows, int64_t columns, int64_t column, T *out, int64_t stride) {
  constexpr int L = Simd<T>::lanes;
  for (int64_t k = 0; k < columns; ++k)
    for (int lane = 0; lane < L; ++lane)
      out[k * stride + lane] = column + lane < rows ? m[(column + lane) * columns + k] : T(0);
}

template <class T>
void pack_rows(const T *m, int64_t rows, int64_t columns, int64_t column, T *out, int64_t stride) {
  for (int64_t k = 0; k < rows; ++k)
    store<T>(out + k * stride, load_row<T>(m + k * columns + column, larger(columns - column, 0)));
}

// (h, x) -> (A h, W h + U x + b): per panel [N][2][L], then U's [P][1 or 2][L], then the bias.
template <class T>
void pack_forward(const Shape<T> &s, const T *a, const T *w, const T *u, const T *b, T *panels) {
  constexpr int L = Shape<T>::L;
  for (int64_t j = 0; j < s.forward_panels(); ++j) {
    T *panel = panels + j * s.forward_panel_size();
    T *tail = panel + 2 * s.hidden * L;
    int64_t columns[2] = {s.linear ? j * L : 2 * j * L, s.linear ? j * L : (2 * j + 1) * L};
    pack_transposed(s.linear ? a : w, s.hidden, s.hidden, columns[0], panel, 2 * L);
    pack_transposed(w, s.hidden, s.hidden, columns[1], panel + L, 2 * L);
    const int64_t xs = s.input_vectors();
    for (int64_t v = 0; v < xs; ++v) {
      int64_t column = columns[2 - xs + v];
      pack_transposed(u, s.hidden, s.features, column, tail + v * L, xs * L);
      T *bias = tail + xs * s.features * L + v * L;
      store<T>(bias, b && column < s.hidden ? load_row<T>(b + column, s.hidden - column) : Vec<T>{});
    }
  }
}

// (mu, dz) -> Aᵀ mu + Wᵀ dz, and dz -> Uᵀ dz.
template <class T>
void pack_backward(const Shape<T> &s, const T *a, const T *w, const T *u, T *panels, T *input_panels) {
  constexpr int L = Shape<T>::L;
  for (int64_t j = 0; j < s.backward_panels(); ++j)
    for (int v = 0; v < 2; ++v) {
      T *panel = panels + j * s.backward_panel_size() + v * L;
      if (s.linear) {
        pack_rows(a, s.hidden, s.hidden, (2 * j + v) * L, panel, 2 * L);
        panel += s.hidden * 2 * L;
      }
      pack_rows(w, s.hidden, s.hidden, (2 * j + v) * L, panel, 2 * L);
    }
  if (!input_panels) return;
  for (int64_t j = 0; j < s.input_panels(); ++j)
    for (int v = 0; v < 2; ++v)
      pack_rows(u, s.hidden, s.features, (2 * j + v) * L, input_panels + j * s.input_panel_size() + v * L,
                2 * L);
}

// Rows of a dense matrix of `columns` columns into blocks [block][row][L]; blocks lie `stride` apart.
template <class T>
void pack_tile(const T *from, int64_t rows, int64_t columns, T *to, int64_t stride) {
  constexpr int L = Simd<T>::lanes;
  int64_t j = 0;
  for (; (j + 1) * L <= columns; ++j)
    for (int64_t i = 0; i < rows; ++i)
      store<T>(to + j * stride + i * L, load_row<T>(from + i * columns + j * L, L));
  if (j * L == columns) return;
  for (int64_t i = 0; i < rows; ++i)  // number by number: a vector made lane by lane would stall
    for (int64_t lane = 0; lane < L; ++lane)
      to[j * stride + i * L + lane] =
          j * L + lane < columns ? from[i * columns + j * L + lane] : T(0);
}

template <class T>
void unpack_tile(const T *from, int64_t stride, int64_t rows, int64_t columns, T *to) {
  constexpr int L = Simd<T>::lanes;
  for (int64_t j = 0; j * L < columns; ++j)
    for (int64_t i = 0; i < rows; ++i)
      store_row<T>(to + i * columns + j * L, load<T>(from + j * stride + i * L), columns - j * L);
}

// ---- the register tile ------------------------------------------------------------------------------

// acc[i][v] += sum_k rows[i][k] * panel_v[k]. Rows come in blocks [block][row][L], so that every
// broadcast has a constant offset from one pointer. FIRST and STEP choose the vectors of a panel that
// take part: all, or every second one (U beside an A that sees no input).
template <class T, int ROWS, int PAIRS, int WIDTH>
LS_INLINE void multiply(Vec<T> (&acc)[ROWS][2 * PAIRS], const T *rows, int64_t block_stride,
                        const T *panel, int64_t panel_stride, int64_t count) {
  constexpr int L = Simd<T>::lanes;
  constexpr int V = WIDTH * PAIRS;  // WIDTH vectors per panel, the last WIDTH of its accumulators
  while (count > 0) {
    const T *row = rows;
    const T *end = rows + smaller(count, L);
#pragma GCC unroll 4
    for (; row != end; ++row, panel += WIDTH * L) {
      Vec<T> weights[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v)
        weights[v] = load<T>(panel + (v / WIDTH) * panel_stride + (v % WIDTH) * L);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
        Vec<T> x = broadcast<T>(row[i * L]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v)
          acc[i][(v / WIDTH) * 2 + 2 - WIDTH + v % WIDTH] += x * weights[v];
      }
    }
    rows += block_stride;
    count -= L;
  }
}

// One evaluation of the right-hand side for a tile, and what follows from it:
//   y = tanh(W in + U x + b),   out = base + coefficient * (A in + y).
template <class T>
struct Stage {
  const Shape<T> *shape;
  const T *panels;
  const T *in;
  const T *x;
  const T *base;
  T *out;
  int64_t in_stride, x_stride, base_stride, out_stride;  // between blocks
  const T *coefficients;                                 // one a row
  T *tanhs;                                              // packed like `out`, or NULL
  int64_t tanhs_stride;
  T *slopes;                                             // A in + y, likewise
  int64_t slopes_stride;
  T *tanh_rows;  // dense rows of N, or NULL
  T *out_rows;   // likewise
  int64_t ahead;     // from rows written now to those of the next step
  bool past_caches;  // whether these arrays are too large to be kept there
};

// What follows the products, for block j of ROWS rows from row `first` on, a few at a time.
template <class T, int ROWS>
LS_INLINE void finish_rows(const Stage<T> &g, int64_t j, int first, const T *linear, const T *sums) {
  constexpr int L = Simd<T>::lanes;
  constexpr int COUNT = ROWS / ((ROWS + 3) / 4);
  const int64_t columns = g.shape->hidden, valid = columns - j * L;
  Vec<T> y[COUNT];
#pragma GCC unroll 4
  for (int r = 0; r < COUNT; ++r) y[r] = load<T>(sums + r * L);
  tanh<T, COUNT>(y);
#pragma GCC unroll 4
  for (int r = 0; r < COUNT; ++r) {
    const int i = first + r;
    Vec<T> slope = linear ? load<T>(linear + r * L) + y[r] : y[r];
    Vec<T> h = load<T>(g.base + j * g.base_stride + i * L) + broadcast<T>(g.coefficients[i]) * slope;
    store<T>(g.out + j * g.out_stride + i * L, h);
    if (g.tanhs) store<T>(g.tanhs + j * g.tanhs_stride + i * L, y[r]);
    if (g.slopes) store<T>(g.slopes + j * g.slopes_stride + i * L, slope);
    const int64_t at = i * columns + j * L;
    if (g.tanh_rows) store_away<T>(g.tanh_rows + at, y[r], valid, g.ahead, g.past_caches);
    if (g.out_rows) store_away<T>(g.out_rows + at, h, valid, g.ahead, g.past_caches);
  }
  if constexpr (ROWS > COUNT)
    finish_rows<T, ROWS - COUNT>(g, j, first + COUNT, linear ? linear + COUNT * L : nullptr,
                                 sums + COUNT * L);
}

template <class T, int ROWS, int PAIRS, bool LINEAR>
void stage_panels(const Stage<T> &g, int64_t panel_index) {
  constexpr int L = Simd<T>::lanes;
  const Shape<T> &s = *g.shape;
  const int64_t size = s.forward_panel_size();
  const T *panel = g.panels + panel_index * size;
  constexpr int WIDTH = LINEAR ? 1 : 2;
  alignas(64) T sums[2 * PAIRS][ROWS][L];
  {
    Vec<T> acc[ROWS][2 * PAIRS];
    const T *tail = panel + 2 * s.hidden * L;
    const T *bias = tail + WIDTH * s.features * L;
#pragma GCC unroll 8
    for (int v = 0; v < 2 * PAIRS; ++v) {
      Vec<T> start = {};
      if (!LINEAR || v % 2) start = load<T>(bias + (v / 2) * size + (LINEAR ? 0 : v % 2) * L);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) acc[i][v] = start;
    }
    multiply<T, ROWS, PAIRS, WIDTH>(acc, g.x, g.x_stride, tail, size, s.features);
    multiply<T, ROWS, PAIRS, 2>(acc, g.in, g.in_stride, panel, size, s.hidden);
#pragma GCC unroll 8
    for (int v = 0; v < 2 * PAIRS; ++v)
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) store<T>(sums[v][i], acc[i][v]);
  }
  for (int v = LINEAR ? 1 : 0; v < 2 * PAIRS; v += LINEAR ? 2 : 1) {
    const int64_t j = LINEAR ? panel_index + v / 2 : 2 * panel_index + v;
    if (j < s.hidden_blocks)
      finish_rows<T, ROWS>(g, j, 0, LINEAR ? sums[v - LINEAR][0] : nullptr, sums[v][0]);
  }
}

// Products of a tile with the backward panels: target += sum, and `copy` = sum where wanted.
template <class T>
struct Product {
  const T *panels;
  int64_t panel_size;
  const T *in;
  int64_t in_stride;
  int64_t parts, part_blocks, count;  // `parts` runs of `count` numbers, each in `part_blocks` blocks
  T *target;
  int64_t target_stride, blocks;
  T *copy;  // laid out like the target, or NULL
};

template <class T, int ROWS, int PAIRS>
void product_panels(const Product<T> &g, int64_t panel_index) {
  constexpr int L = Simd<T>::lanes;
  const T *panel = g.panels + panel_index * g.panel_size;
  Vec<T> acc[ROWS][2 * PAIRS];
#pragma GCC unroll 8
  for (int v = 0; v < 2 * PAIRS; ++v)
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) acc[i][v] = Vec<T>{};
  const T *in = g.in;
  for (int64_t part = 0; part < g.parts; ++part) {
    multiply<T, ROWS, PAIRS, 2>(acc, in, g.in_stride, panel, g.panel_size, g.count);
    in += g.part_blocks * g.in_stride;
    panel += g.count * 2 * L;
  }
#pragma GCC unroll 8
  for (int v = 0; v < 2 * PAIRS; ++v) {
    const int64_t j = 2 * panel_index + v;
    if (j < g.blocks) {
      T *target = g.target + j * g.target_stride;
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) store<T>(target + i * L, load<T>(target + i * L) + acc[i][v]);
      if (g.copy)
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i)
          store<T>(g.copy + j * g.target_stride + i * L, acc[i][v]);
    }
  }
}

// Run-time row counts to compile-time ones: a table of functions by rows.
template <class T, int ROWS, bool LINEAR>
void stage_range(const Stage<T> &g, int64_t from, int64_t to) {
  constexpr int PAIRS = pairs_for(ROWS);
  for (; from + PAIRS <= to; from += PAIRS) stage_panels<T, ROWS, PAIRS, LINEAR>(g, from);
  if constexpr (PAIRS > 1)
    for (; from < to; ++from) stage_panels<T, ROWS, 1, LINEAR>(g, from);
}

template <class T, int ROWS>
void product_range(const Product<T> &g, int64_t from, int64_t to) {
  constexpr int PAIRS = pairs_for(ROWS);
  for (; from + PAIRS <= to; from += PAIRS) product_panels<T, ROWS, PAIRS>(g, from);
  if constexpr (PAIRS > 1)
    for (; from < to; ++from) product_panels<T, ROWS, 1>(g, from);
}

template <class T, int ROWS = kMaxRows>
void run_stage(const Stage<T> &g, int rows, int64_t from, int64_t to) {
  if (rows == ROWS) {
    if (g.shape->linear) return stage_range<T, ROWS, true>(g, from, to);
    return stage_range<T, ROWS, false>(g, from, to);
  }
  if constexpr (ROWS > 1) run_stage<T, ROWS - 1>(g, rows, from, to);
}

template <class T, int ROWS = kMaxRows>
void run_product(const Product<T> &g, int rows, int64_t from, int64_t to) {
  if (rows == ROWS) return product_range<T, ROWS>(g, from, to);
  if constexpr (ROWS > 1) run_product<T, ROWS - 1>(g, rows, from, to);
}

// ---- the weight gradient ----------------------------------------------------------------------------

// A run of rows of one tile: `count` rows of L numbers each, block after block at the strides given.
template <class T>
struct Rows {
  const T *left;   // of the adjoint: broadcast
  const T *right;  // of the states: vectors
  int64_t left_stride, right_stride, count;
};

// target[i][j] += sum over all rows of left[row][i] * right[row][j], for OUTER rows i from one block and
// COLUMNS blocks j. Sums start from zero, so that rounding errors of a group do not pile up on those of
// all groups before it.
template <class T, int COLUMNS>
void outer_tile(const Rows<T> *tiles, int64_t tile_count, int64_t i, int64_t j, T *target,
                int64_t target_stride) {
  constexpr int L = Simd<T>::lanes;
  constexpr int OUTER = outer_rows<T>();
  Vec<T> acc[OUTER][COLUMNS];
#pragma GCC unroll 8
  for (int r = 0; r < OUTER; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < COLUMNS; ++c) acc[r][c] = Vec<T>{};
  for (int64_t n = 0; n < tile_count; ++n) {
    const Rows<T> &tile = tiles[n];
    const T *left = tile.left + (i / L) * tile.left_stride + i % L;
    const T *right = tile.right + j * tile.right_stride;
    const int64_t stride = tile.right_stride;
    const T *end = left + tile.count * L;
#pragma GCC unroll 2
    for (; left != end; left += L, right += L) {
      Vec<T> columns[COLUMNS];
#pragma GCC unroll 8
      for (int c = 0; c < COLUMNS; ++c) columns[c] = load<T>(right + c * stride);
#pragma GCC unroll 8
      for (int r = 0; r < OUTER; ++r) {
        Vec<T> x = broadcast<T>(left[r]);
#pragma GCC unroll 8
        for (int c = 0; c < COLUMNS; ++c) acc[r][c] += x * columns[c];
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < COLUMNS; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < OUTER; ++r) {
      T *out = target + c * target_stride + r * L;
      store<T>(out, load<T>(out) + acc[r][c]);
    }
}

template <class T, int COLUMNS = kOuterColumns>
void run_outer(int columns, const Rows<T> *tiles, int64_t tile_count, int64_t i, int64_t j, T *target,
               int64_t target_stride) {
  if (columns == COLUMNS) return outer_tile<T, COLUMNS>(tiles, tile_count, i, j, target, target_stride);
  if constexpr (COLUMNS > 1) run_outer<T, COLUMNS - 1>(columns, tiles, tile_count, i, j, target, target_stride);
}

// The whole matrix, (left_blocks L) x (right_blocks L), as [j][i / OUTER][OUTER][L].
template <class T>
void outer_product(const Rows<T> *tiles, int64_t tile_count, int64_t left_blocks, int64_t right_blocks,
                   T *target) {
  constexpr int L = Simd<T>::lanes;
  const int64_t height = left_blocks * L, column_size = height * L;
  // Near-equal groups of columns: 3 + 3 + 2 for 8, not 3 + 3 + 1 + 1.
  const int64_t groups = divide_up(right_blocks, kOuterColumns);
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t j = right_blocks * group / groups;
    const int columns = (int)(right_blocks * (group + 1) / groups - j);
    for (int64_t i = 0; i < height; i += outer_rows<T>())
      run_outer<T>(columns, tiles, tile_count, i, j, target + j * column_size + i * L, column_size);
  }
}

// ---- a thread's share -------------------------------------------------------------------------------

// Hands out pieces of the workspace; with no memory behind it, counts what would be needed.
struct Arena {
  char *base;
  int64_t used;
  template <class T>
  T *take(int64_t count) {
    T *piece = base ? reinterpret_cast<T *>(base + used) : nullptr;
    used += divide_up(count * (int64_t)sizeof(T), 64) * 64;
    return piece;
  }
};

// A few rows of the batch that go through the registers together.
struct Tile {
  int64_t first;  // row of the batch
  int64_t local;  // row of the chunk
  int rows;
};

// Tiles that go through time together, so that one group of them is large enough for the weight
// gradient and small enough for the cache.
constexpr int kTilesPerChunk = 5;

struct Chunk {
  Tile tiles[kTilesPerChunk];
  int count;
};

struct Share {
  int64_t first, last;  // rows of the batch
  int64_t tile_count, chunk_count;

  Share(int64_t batch, int threads, int index)
      : first(batch * index / threads), last(batch * (index + 1) / threads) {
    tile_count = divide_up(last - first, kMaxRows);
    chunk_count = divide_up(tile_count, kTilesPerChunk);
  }

  int64_t row_of_tile(int64_t tile) const { return first + (last - first) * tile / tile_count; }

  // Near-equal tiles in near-equal chunks.
  Chunk chunk(int64_t index) const {
    const int64_t from = tile_count * index / chunk_count, to = tile_count * (index + 1) / chunk_count;
    Chunk made;
    made.count = (int)(to - from);
    for (int64_t n = from; n < to; ++n) {
      const int64_t row = row_of_tile(n);
      made.tiles[n - from] = Tile{row, row - row_of_tile(from), (int)(row_of_tile(n + 1) - row)};
    }
    return made;
  }

  static int64_t most_rows(int64_t batch, int threads) {
    return smaller(divide_up(batch, threads), kTilesPerChunk * kMaxRows);
  }
};

template <class T>
const T *constant(const void *p) {
  return static_cast<const T *>(p);
}
template <class T>
T *mutable_(void *p) {
  return static_cast<T *>(p);
}

// Step sizes of the rows of a chunk at one time, and half of them.
template <class T>
void fill_steps(const lipschitz_scan_call &c, const Chunk &chunk, int64_t t, T *whole, T *half) {
  const T *table = constant<T>(c.step_sizes);
  for (int n = 0; n < chunk.count; ++n) {
    const Tile &tile = chunk.tiles[n];
    for (int i = 0; i < tile.rows; ++i) {
      T step = (T)c.step_size;
      if (table) step = c.step_per_sample ? table[t * c.batch + tile.first + i] : table[t];
      whole[tile.local + i] = step;
      half[tile.local + i] = step / 2;
    }
  }
}

// Blocks of several time steps of one chunk: per tile [block][slot][row][L].
template <class T>
struct Blocks {
  T *data;
  int64_t blocks, slots;

  static Blocks take(Arena &arena, int64_t rows, int64_t blocks, int64_t slots) {
    return Blocks{arena.take<T>(rows * blocks * slots * Simd<T>::lanes), blocks, slots};
  }
  T *at(const Tile &tile, int64_t slot) const {
    return data + (tile.local * blocks * slots + slot * tile.rows) * Simd<T>::lanes;
  }
  int64_t stride(const Tile &tile) const { return slots * tile.rows * Simd<T>::lanes; }
};

// Where one forward step of a chunk reads and writes; slots in blocks.
template <class T>
struct Step {
  Blocks<T> in;   // h_t
  Blocks<T> out;  // h_{t+1}
  Blocks<T> middle;      // h~, midpoint only
  Blocks<T> tanhs[2];    // of the stages, or without data
  Blocks<T> slopes[2];   // likewise, in the same slots
  Blocks<T> x;
  int64_t in_slot, out_slot, middle_slot, tanh_slot;
  const T *whole, *half;
  T *tanh_rows, *out_rows;  // the whole batch's at this time, or NULL
};

// Arrays of more bytes than this are written past the caches.
constexpr int64_t kPastCaches = 16 << 20;

template <class T>
void forward_step(const Shape<T> &s, const T *panels, const Chunk &chunk, const Step<T> &step) {
  for (int stage = 0; stage < s.stages; ++stage) {
    const bool last = stage + 1 == s.stages;
    const Blocks<T> &in = stage ? step.middle : step.in;
    const Blocks<T> &out = last ? step.out : step.middle;
    // One panel for all tiles in turn, so that it stays in the nearest cache.
    const int64_t group = chunk.count == 1 ? s.forward_panels() : pairs_for(chunk.tiles[0].rows);
    for (int64_t j = 0; j < s.forward_panels(); j += group)
      for (int n = 0; n < chunk.count; ++n) {
        const Tile &tile = chunk.tiles[n];
        const Blocks<T> &tanhs = step.tanhs[stage], &slopes = step.slopes[stage];
        Stage<T> g;
        g.shape = &s;
        g.panels = panels;
        g.in = in.at(tile, stage ? step.middle_slot : step.in_slot);
        g.in_stride = in.stride(tile);
        g.x = step.x.at(tile, 0);
        g.x_stride = step.x.stride(tile);
        g.base = step.in.at(tile, step.in_slot);
        g.base_stride = step.in.stride(tile);
        g.out = out.at(tile, last ? step.out_slot : step.middle_slot);
        g.out_stride = out.stride(tile);
        g.coefficients = (last ? step.whole : step.half) + tile.local;
        g.tanhs = tanhs.data ? tanhs.at(tile, step.tanh_slot) : nullptr;
        g.tanhs_stride = tanhs.data ? tanhs.stride(tile) : 0;
        g.slopes = slopes.data ? slopes.at(tile, step.tanh_slot) : nullptr;
        g.slopes_stride = slopes.data ? slopes.stride(tile) : 0;
        g.tanh_rows = step.tanh_rows ? step.tanh_rows + tile.first * s.hidden : nullptr;
        g.ahead = s.batch * s.hidden;
        g.past_caches = s.steps * g.ahead * (int64_t)sizeof(T) > kPastCaches;
        g.out_rows = last && step.out_rows ? step.out_rows + tile.first * s.hidden : nullptr;
        run_stage<T>(g, tile.rows, j, smaller(j + group, s.forward_panels()));
      }
  }
}

template <class T>
void pack_input(const lipschitz_scan_call &c, const Chunk &chunk, int64_t t, const Blocks<T> &x,
                int64_t slot) {
  const T *input = constant<T>(c.input) + t * c.batch * c.features;
  for (int n = 0; n < chunk.count; ++n) {
    const Tile &tile = chunk.tiles[n];
    pack_tile(input + tile.first * c.features, tile.rows, c.features, x.at(tile, slot), x.stride(tile));
  }
}

// ---- forward ----------------------------------------------------------------------------------------

template <class T>
struct ForwardMemory {
  Arena arena;
  T *panels;
  int64_t shared_bytes, thread_bytes;
  Blocks<T> h, middle, x;
  T *whole, *half;

  // index -1: up to what all threads share.
  ForwardMemory(const lipschitz_scan_call &c, const Shape<T> &s, int threads, int index) {
    arena = Arena{static_cast<char *>(c.workspace), 0};
    panels = arena.take<T>(s.forward_panels() * s.forward_panel_size());
    shared_bytes = arena.used;
    for (int turn = 0; turn <= (index < 0 ? 0 : 1); ++turn) {
      if (turn) arena.used = shared_bytes + index * thread_bytes;
      const int64_t rows = Share::most_rows(s.batch, threads);
      h = Blocks<T>::take(arena, rows, s.hidden_blocks, 2);
      middle = Blocks<T>::take(arena, s.stages > 1 ? rows : 0, s.hidden_blocks, 1);
      x = Blocks<T>::take(arena, rows, s.feature_blocks, 1);
      whole = arena.take<T>(rows);
      half = arena.take<T>(rows);
      if (!turn) thread_bytes = arena.used - shared_bytes;
    }
  }
};

template <class T>
int64_t forward_bytes(const lipschitz_scan_call &c, int threads) {
  lipschitz_scan_call sizes = c;
  sizes.workspace = nullptr;
  ForwardMemory<T> memory(sizes, Shape<T>(c), threads, -1);
  return memory.shared_bytes + threads * memory.thread_bytes;
}

template <class T>
void forward_prepare(const lipschitz_scan_call &c, int threads) {
  const Shape<T> s(c);
  ForwardMemory<T> memory(c, s, threads, -1);
  pack_forward<T>(s, constant<T>(c.a), constant<T>(c.w), constant<T>(c.u), constant<T>(c.b), memory.panels);
}

template <class T>
void forward_chunk(const lipschitz_scan_call &c, const Shape<T> &s, const ForwardMemory<T> &memory,
                   const Chunk &chunk) {
  const int64_t plane = s.batch * s.hidden;
  Step<T> step = {};
  step.in = step.out = memory.h;
  step.middle = memory.middle;
  step.x = memory.x;
  step.whole = memory.whole;
  step.half = memory.half;
  for (int n = 0; n < chunk.count; ++n) {
    const Tile &tile = chunk.tiles[n];
    pack_tile(constant<T>(c.h0) + tile.first * s.hidden, tile.rows, s.hidden, memory.h.at(tile, 0),
              memory.h.stride(tile));
  }
  for (int64_t t = 0; t < s.steps; ++t) {
    if (t == 0 || c.step_sizes) fill_steps<T>(c, chunk, t, memory.whole, memory.half);
    pack_input<T>(c, chunk, t, memory.x, 0);
    step.in_slot = t % 2;
    step.out_slot = 1 - t % 2;
    step.tanh_rows = c.tanhs ? mutable_<T>(c.tanhs) + t * plane : nullptr;
    const bool kept = c.states && (t + 1) % c.stride == 0;
    step.out_rows = kept ? mutable_<T>(c.states) + ((t + 1) / c.stride - 1) * plane : nullptr;
    forward_step<T>(s, memory.panels, chunk, step);
  }
  if (!c.last) return;
  for (int n = 0; n < chunk.count; ++n) {
    const Tile &tile = chunk.tiles[n];
    unpack_tile(memory.h.at(tile, s.steps % 2), memory.h.stride(tile), tile.rows, s.hidden,
                mutable_<T>(c.last) + tile.first * s.hidden);
  }
}

template <class T>
void forward_run(const lipschitz_scan_call &c, int threads, int index) {
  const Shape<T> s(c);
  const ForwardMemory<T> memory(c, s, threads, index);
  const Share share(s.batch, threads, index);
  for (int64_t n = 0; n < share.chunk_count; ++n) forward_chunk<T>(c, s, memory, share.chunk(n));
  finish_streams();
}

// ---- backward ---------------------------------------------------------------------------------------

// Rows that a group should bring to one pass of the weight gradient.
constexpr int64_t kGroupRows = 128;

template <class T>
struct BackwardMemory {
  Arena arena;
  T *forward_panels, *panels, *input_panels;
  int64_t shared_bytes, thread_bytes;
  bool recompute;
  int64_t group, segment;  // steps
  // per thread
  T *grad_a, *grad_w, *grad_u, *grad_b;
  int64_t sums_size;  // of the four together
  Blocks<T> adjoint, middle_adjoint, grad_x, x, step_x;
  Blocks<T> h[2] = {}, tanhs[2] = {}, slopes[2] = {}, products[2] = {};
  T *whole, *half;

  BackwardMemory(const lipschitz_scan_call &c, const Shape<T> &s, int threads, int index) {
    constexpr int L = Simd<T>::lanes;
    arena = Arena{static_cast<char *>(c.workspace), 0};
    recompute = c.tanhs == nullptr;
    const int64_t rows = Share::most_rows(s.batch, threads);
    group = smaller(divide_up(kGroupRows, rows), s.steps);
    segment = c.stride > 1 ? smaller(c.stride, s.steps) : group;
    forward_panels = arena.take<T>(recompute ? s.forward_panels() * s.forward_panel_size() : 0);
    panels = arena.take<T>(s.backward_panels() * s.backward_panel_size());
    input_panels = arena.take<T>(c.grad_input ? s.input_panels() * s.input_panel_size() : 0);
    if (!c.grad_input) input_panels = nullptr;
    shared_bytes = arena.used;
    for (int turn = 0; turn <= (index < 0 ? 0 : 1); ++turn) {
      if (turn) arena.used = shared_bytes + index * thread_bytes;
      const int64_t square = s.hidden_blocks * s.hidden_blocks * L * L;
      const int64_t start = arena.used;
      grad_a = arena.take<T>(s.linear && c.grad_a ? square : 0);
      grad_w = arena.take<T>(c.grad_w ? square : 0);
      grad_u = arena.take<T>(c.grad_u ? s.hidden_blocks * L * (s.few_features() ? s.features : s.feature_blocks * L) : 0);
      grad_b = arena.take<T>(c.grad_b ? s.hidden_blocks * L : 0);
      sums_size = (arena.used - start) / (int64_t)sizeof(T);
      adjoint = Blocks<T>::take(arena, rows, s.hidden_blocks, 1);
      middle_adjoint = Blocks<T>::take(arena, s.stages > 1 ? rows : 0, s.hidden_blocks, 1);
      grad_x = Blocks<T>::take(arena, c.grad_input ? rows : 0, s.feature_blocks, 1);
      x = Blocks<T>::take(arena, rows, s.feature_blocks, group);
      step_x = Blocks<T>::take(arena, recompute ? rows : 0, s.feature_blocks, 1);
      for (int stage = 0; stage < s.stages; ++stage) {
        // one slot more: the last step of a segment writes a state that is not read
        h[stage] = Blocks<T>::take(arena, rows, s.hidden_blocks, segment + (stage ? 0 : 1));
        tanhs[stage] = Blocks<T>::take(arena, recompute ? rows : 0, s.hidden_blocks, segment);
        slopes[stage] = Blocks<T>::take(arena, c.grad_step ? rows : 0, s.hidden_blocks, segment);
        if (!c.grad_step) slopes[stage].data = nullptr;
        products[stage] = Blocks<T>::take(arena, rows, s.adjoint_blocks(), group);
      }
      whole = arena.take<T>(rows);
      half = arena.take<T>(rows);
      if (!turn) thread_bytes = arena.used - shared_bytes;
    }
  }
};

template <class T>
int64_t backward_bytes(const lipschitz_scan_call &c, int threads) {
  lipschitz_scan_call sizes = c;
  sizes.workspace = nullptr;
  BackwardMemory<T> memory(sizes, Shape<T>(c), threads, -1);
  return memory.shared_bytes + threads * memory.thread_bytes;
}

template <class T>
void backward_prepare(const lipschitz_scan_call &c, int threads) {
  const Shape<T> s(c);
  BackwardMemory<T> memory(c, s, threads, -1);
  const T *a = constant<T>(c.a), *w = constant<T>(c.w), *u = constant<T>(c.u);
  if (memory.recompute) pack_forward<T>(s, a, w, u, constant<T>(c.b), memory.forward_panels);
  pack_backward<T>(s, a, w, u, memory.panels, memory.input_panels);
}

// The part of a chunk's backward pass that lasts: pointers and where it stands.
template <class T>
struct Backward {
  static constexpr int L = Simd<T>::lanes;
  const lipschitz_scan_call &c;
  const Shape<T> &s;
  const BackwardMemory<T> &m;
  const Chunk &chunk;
  int64_t plane;

  // States and, where they were not kept, tanhs of the steps [from, to).
  void fill_segment(int64_t from, int64_t to) {
    if (!m.recompute) {
      for (int64_t t = from; t < to; ++t) load_state(t, t - from);
      return;
    }
    load_state(from, 0);
    Step<T> step = {};
    step.in = step.out = m.h[0];
    step.middle = m.h[1];
    step.tanhs[0] = m.tanhs[0];
    step.tanhs[1] = m.tanhs[1];
    step.slopes[0] = m.slopes[0];
    step.slopes[1] = m.slopes[1];
    step.x = m.step_x;
    step.whole = m.whole;
    step.half = m.half;
    for (int64_t t = from; t < to; ++t) {
      fill_steps<T>(c, chunk, t, m.whole, m.half);
      pack_input<T>(c, chunk, t, m.step_x, 0);
      step.in_slot = step.middle_slot = step.tanh_slot = t - from;
      step.out_slot = t - from + 1;
      forward_step<T>(s, m.forward_panels, chunk, step);
    }
  }

  void load_state(int64_t t, int64_t slot) {
    const T *from = t ? constant<T>(c.states) + (t / c.stride - 1) * plane : constant<T>(c.h0);
    for (int n = 0; n < chunk.count; ++n) {
      const Tile &tile = chunk.tiles[n];
      const T *rows = from + tile.first * s.hidden;
      pack_tile(rows, tile.rows, s.hidden, m.h[0].at(tile, slot), m.h[0].stride(tile));
      if (c.stride == 1 && t > m.group) prefetch_rows(rows - m.group * plane, tile.rows);
    }
  }

  // Fetches what will be read a group, or a step, from now: it left the caches long ago.
  void prefetch_rows(const T *rows, int64_t count) {
    constexpr int64_t line = 64 / (int64_t)sizeof(T);
    for (int64_t i = 0; i < count * s.hidden; i += line) __builtin_prefetch(rows + i);
  }

  // mu = coefficient * adjoint, dz = (1 - tanh^2) mu, and the sums of b and of a thin U. At the last
  // stage of a step the adjoint first takes what flows in from outside.
  void scale_adjoint(int stage, const Tile &tile, int64_t t, int64_t segment_slot, int64_t slot) {
    const bool last = stage + 1 == s.stages;
    const Blocks<T> &source = last ? m.adjoint : m.middle_adjoint;
    const T *coefficients = (last ? m.whole : m.half) + tile.local;
    const T *outside = last && c.grad_states
                           ? constant<T>(c.grad_states) + t * plane + tile.first * s.hidden
                           : nullptr;
    const T *rows = m.recompute ? nullptr : constant<T>(c.tanhs) + t * plane + tile.first * s.hidden;
    const T *blocks = m.recompute ? m.tanhs[stage].at(tile, segment_slot) : nullptr;
    const int64_t blocks_stride = m.recompute ? m.tanhs[stage].stride(tile) : 0;
    const int64_t stride = m.products[stage].stride(tile);
    T *mu_out = m.products[stage].at(tile, slot);
    T *dz_out = mu_out + (s.linear ? s.hidden_blocks * stride : 0);
    const T *x = m.x.at(tile, slot);
    if (rows && t) prefetch_rows(rows - plane, tile.rows);
    if (outside && t) prefetch_rows(outside - plane, tile.rows);
    for (int64_t j = 0; j < s.hidden_blocks; ++j) {
      const int64_t valid = s.hidden - j * L;
      T *adjoint = source.at(tile, 0) + j * source.stride(tile);
      Vec<T> sum = {};
      for (int i = 0; i < tile.rows; ++i) {
        Vec<T> lam = load<T>(adjoint + i * L);
        if (outside) {
          lam += load_row<T>(outside + i * s.hidden + j * L, valid);
          store<T>(adjoint + i * L, lam);
        }
        Vec<T> y = rows ? load_row<T>(rows + i * s.hidden + j * L, valid)
                        : load<T>(blocks + j * blocks_stride + i * L);
        Vec<T> mu = broadcast<T>(coefficients[i]) * lam;
        Vec<T> dz = (T(1) - y * y) * mu;
        if (s.linear) store<T>(mu_out + j * stride + i * L, mu);
        store<T>(dz_out + j * stride + i * L, dz);
        sum += dz;
      }
      if (c.grad_b) store<T>(m.grad_b + j * L, load<T>(m.grad_b + j * L) + sum);
      if (!c.grad_u || !s.few_features()) continue;
      for (int64_t p = 0; p < s.features; ++p) {
        T *target = m.grad_u + (j * s.features + p) * L;
        Vec<T> column = {};
        for (int i = 0; i < tile.rows; ++i)
          column += broadcast<T>(x[i * L + p]) * load<T>(dz_out + j * stride + i * L);
        store<T>(target, load<T>(target) + column);
      }
    }
  }

  // de += <adjoint, slope>: all of it for the last stage, half for the one before, whose result was taken
  // half a step away. Lanes beyond the state are left out: an input that is not finite makes them NaN.
  void step_gradient(int stage, const Tile &tile, int64_t t, int64_t segment_slot) {
    const bool last = stage + 1 == s.stages;
    const Blocks<T> &source = last ? m.adjoint : m.middle_adjoint, &slopes = m.slopes[stage];
    const T *adjoint = source.at(tile, 0), *slope = slopes.at(tile, segment_slot);
    T *target = mutable_<T>(c.grad_step) + t * s.batch + tile.first;
    for (int i = 0; i < tile.rows; ++i) {
      Vec<T> products = {};
      for (int64_t j = 0; j < s.hidden_blocks; ++j)
        products += load_row<T>(adjoint + j * source.stride(tile) + i * L, s.hidden - j * L) *
                    load_row<T>(slope + j * slopes.stride(tile) + i * L, s.hidden - j * L);
      T sum = T(0);
      for (int lane = 0; lane < L; ++lane) sum += products[lane];
      target[i] = last ? sum : target[i] + sum / 2;
    }
  }

  // adjoint += Aᵀ mu + Wᵀ dz for the whole chunk, one panel for all tiles in turn.
  void propagate(int stage, int64_t slot) {
    const bool last = stage + 1 == s.stages;
    const int64_t panels = s.backward_panels();
    const int64_t group = chunk.count == 1 ? panels : pairs_for(chunk.tiles[0].rows);
    for (int64_t j = 0; j < panels; j += group)
      for (int n = 0; n < chunk.count; ++n) {
        const Tile &tile = chunk.tiles[n];
        Product<T> g;
        g.panels = m.panels;
        g.panel_size = s.backward_panel_size();
        g.in = m.products[stage].at(tile, slot);
        g.in_stride = m.products[stage].stride(tile);
        g.parts = s.linear ? 2 : 1;
        g.part_blocks = s.hidden_blocks;
        g.count = s.hidden;
        g.target = m.adjoint.at(tile, 0);
        g.target_stride = m.adjoint.stride(tile);
        g.blocks = s.hidden_blocks;
        g.copy = last && s.stages > 1 ? m.middle_adjoint.at(tile, 0) : nullptr;
        run_product<T>(g, tile.rows, j, smaller(j + group, panels));
      }
  }

  void input_gradient(int64_t t, int64_t slot) {
    for (int n = 0; n < chunk.count; ++n) {
      const Tile &tile = chunk.tiles[n];
      T *target = m.grad_x.at(tile, 0);
      for (int64_t i = 0; i < s.feature_blocks * tile.rows; ++i) store<T>(target + i * L, Vec<T>{});
      for (int stage = 0; stage < s.stages; ++stage) {
        Product<T> g;
        g.panels = m.input_panels;
        g.panel_size = s.input_panel_size();
        g.in_stride = m.products[stage].stride(tile);
        g.in = m.products[stage].at(tile, slot) + (s.linear ? s.hidden_blocks * g.in_stride : 0);
        g.parts = 1;
        g.part_blocks = s.hidden_blocks;
        g.count = s.hidden;
        g.target = target;
        g.target_stride = m.grad_x.stride(tile);
        g.blocks = s.feature_blocks;
        g.copy = nullptr;
        run_product<T>(g, tile.rows, 0, s.input_panels());
      }
      unpack_tile(target, m.grad_x.stride(tile), tile.rows, s.features,
                  mutable_<T>(c.grad_input) + (t * s.batch + tile.first) * s.features);
    }
  }

  // dA += muᵀ h, dW += dzᵀ h, dU += dzᵀ x over the steps of a group.
  void weight_gradient(int64_t segment_slot, int64_t steps) {
    Rows<T> rows[kTilesPerChunk];
    for (int stage = 0; stage < s.stages; ++stage) {
      for (int n = 0; n < chunk.count; ++n) {
        const Tile &tile = chunk.tiles[n];
        rows[n].left = m.products[stage].at(tile, 0);
        rows[n].left_stride = m.products[stage].stride(tile);
        rows[n].right = m.h[stage].at(tile, segment_slot);
        rows[n].right_stride = m.h[stage].stride(tile);
        rows[n].count = steps * tile.rows;
      }
      if (s.linear) {
        if (c.grad_a) outer_product<T>(rows, chunk.count, s.hidden_blocks, s.hidden_blocks, m.grad_a);
        for (int n = 0; n < chunk.count; ++n) rows[n].left += s.hidden_blocks * rows[n].left_stride;
      }
      if (c.grad_w) outer_product<T>(rows, chunk.count, s.hidden_blocks, s.hidden_blocks, m.grad_w);
      if (!c.grad_u || s.few_features()) continue;
      for (int n = 0; n < chunk.count; ++n) {
        rows[n].right = m.x.at(chunk.tiles[n], 0);
        rows[n].right_stride = m.x.stride(chunk.tiles[n]);
      }
      outer_product<T>(rows, chunk.count, s.hidden_blocks, s.feature_blocks, m.grad_u);
    }
  }

  // Steps [from, to) in reverse, whose states begin at `segment_slot` of the segment.
  void group(int64_t from, int64_t to, int64_t segment_slot) {
    for (int64_t t = to - 1; t >= from; --t) {
      const int64_t slot = t - from;
      fill_steps<T>(c, chunk, t, m.whole, m.half);
      pack_input<T>(c, chunk, t, m.x, slot);
      for (int stage = s.stages - 1; stage >= 0; --stage) {
        for (int n = 0; n < chunk.count; ++n) {
          scale_adjoint(stage, chunk.tiles[n], t, segment_slot + slot, slot);
          if (c.grad_step) step_gradient(stage, chunk.tiles[n], t, segment_slot + slot);
        }
        propagate(stage, slot);
      }
      if (c.grad_input) input_gradient(t, slot);
    }
    weight_gradient(segment_slot, to - from);
  }

  void run() {
    for (int n = 0; n < chunk.count; ++n) {
      const Tile &tile = chunk.tiles[n];
      T *adjoint = m.adjoint.at(tile, 0);
      if (c.grad_last)
        pack_tile(constant<T>(c.grad_last) + tile.first * s.hidden, tile.rows, s.hidden, adjoint,
                  m.adjoint.stride(tile));
      else
        for (int64_t i = 0; i < s.hidden_blocks * tile.rows; ++i) store<T>(adjoint + i * L, Vec<T>{});
    }
    for (int64_t from = (s.steps - 1) / m.segment * m.segment; from >= 0; from -= m.segment) {
      const int64_t to = smaller(from + m.segment, s.steps);
      fill_segment(from, to);
      for (int64_t g = (to - from - 1) / m.group * m.group; g >= 0; g -= m.group)
        group(from + g, smaller(from + g + m.group, to), g);
    }
    if (!c.grad_h0) return;
    for (int n = 0; n < chunk.count; ++n) {
      const Tile &tile = chunk.tiles[n];
      unpack_tile(m.adjoint.at(tile, 0), m.adjoint.stride(tile), tile.rows, s.hidden,
                  mutable_<T>(c.grad_h0) + tile.first * s.hidden);
    }
  }
};

template <class T>
void backward_run(const lipschitz_scan_call &c, int threads, int index) {
  const Shape<T> s(c);
  const BackwardMemory<T> memory(c, s, threads, index);
  for (int64_t i = 0; i < memory.sums_size; ++i) memory.grad_a[i] = T(0);  // the first of the four
  const Share share(s.batch, threads, index);
  for (int64_t n = 0; n < share.chunk_count; ++n) {
    const Chunk chunk = share.chunk(n);
    Backward<T>{c, s, memory, chunk, s.batch * s.hidden}.run();
  }
}

// Adds the threads' sums in their order, which makes the result repeatable.
template <class T>
void backward_finish(const lipschitz_scan_call &c, int threads) {
  constexpr int L = Simd<T>::lanes;
  constexpr int OUTER = outer_rows<T>();
  const Shape<T> s(c);
  const int64_t height = s.hidden_blocks * L;
  const BackwardMemory<T> first(c, s, threads, 0);
  const int64_t apart = first.thread_bytes / (int64_t)sizeof(T);
  auto total = [&](const T *sums, int64_t offset) {
    T sum = sums[offset];
    for (int n = 1; n < threads; ++n) sum += sums[n * apart + offset];
    return sum;
  };
  auto matrix = [&](const T *sums, int64_t columns, void *out) {
    for (int64_t i = 0; i < s.hidden; ++i)
      for (int64_t k = 0; k < columns; ++k) {
        const int64_t offset = (k / L) * height * L + (i / OUTER * OUTER) * L + (i % OUTER) * L + k % L;
        mutable_<T>(out)[i * columns + k] = total(sums, offset);
      }
  };
  if (c.grad_a && s.linear) matrix(first.grad_a, s.hidden, c.grad_a);
  if (c.grad_w) matrix(first.grad_w, s.hidden, c.grad_w);
  if (c.grad_u && !s.few_features()) matrix(first.grad_u, s.features, c.grad_u);
  if (c.grad_u && s.few_features())
    for (int64_t i = 0; i < s.hidden; ++i)
      for (int64_t p = 0; p < s.features; ++p)
        mutable_<T>(c.grad_u)[i * s.features + p] =
            total(first.grad_u, ((i / L) * s.features + p) * L + i % L);
  if (c.grad_b)
    for (int64_t i = 0; i < s.hidden; ++i) mutable_<T>(c.grad_b)[i] = total(first.grad_b, i);
}

// ---- one step of a few streams ----------------------------------------------------------------------

constexpr int64_t kStepScratch = 16384;  // numbers on the stack

template <class T>
Shape<T> step_shape(int64_t hidden, int64_t features, bool linear, int method) {
  lipschitz_scan_call c = {};
  c.steps = c.batch = 1;
  c.hidden = hidden;
  c.features = features;
  c.a = linear ? &c : nullptr;  // only whether there is one
  c.method = method;
  return Shape<T>(c);
}

template <class T>
int64_t step_row(const Shape<T> &s) {
  return (3 * s.hidden_blocks + s.feature_blocks) * Simd<T>::lanes;
}

// -1 where one row does not fit the scratch memory.
template <class T>
int64_t pack_bytes(int64_t hidden, int64_t features, bool linear) {
  const Shape<T> s = step_shape<T>(hidden, features, linear, LIPSCHITZ_SCAN_MIDPOINT);
  if (step_row(s) > kStepScratch) return -1;
  return s.forward_panels() * s.forward_panel_size() * (int64_t)sizeof(T);
}

template <class T>
void pack(int64_t hidden, int64_t features, const void *a, const void *w, const void *u, const void *b,
          void *block) {
  const Shape<T> s = step_shape<T>(hidden, features, a != nullptr, LIPSCHITZ_SCAN_EULER);
  pack_forward<T>(s, constant<T>(a), constant<T>(w), constant<T>(u), constant<T>(b), mutable_<T>(block));
}

template <class T>
void step(int64_t hidden, int64_t features, bool linear, const void *block, const void *x, void *h,
          int64_t batch, double step_size, const void *step_sizes, int method) {
  const Shape<T> s = step_shape<T>(hidden, features, linear, method);
  alignas(64) T scratch[kStepScratch];
  const int64_t most = larger(1, smaller(kMaxRows, kStepScratch / step_row(s)));
  for (int64_t first = 0; first < batch; first += most) {
    Chunk chunk;
    chunk.count = 1;
    chunk.tiles[0] = Tile{0, 0, (int)smaller(most, batch - first)};
    const int64_t rows = chunk.tiles[0].rows;
    T whole[kMaxRows], half[kMaxRows];
    for (int64_t i = 0; i < rows; ++i) {
      whole[i] = step_sizes ? constant<T>(step_sizes)[first + i] : (T)step_size;
      half[i] = whole[i] / 2;
    }
    Step<T> g = {};
    T *free = scratch;
    Blocks<T> *const all[] = {&g.in, &g.out, &g.middle};
    for (Blocks<T> *blocks : all) {
      *blocks = Blocks<T>{free, s.hidden_blocks, 1};
      free += rows * s.hidden_blocks * Simd<T>::lanes;
    }
    g.x = Blocks<T>{free, s.feature_blocks, 1};
    g.whole = whole;
    g.half = half;
    const Tile &tile = chunk.tiles[0];
    T *state = mutable_<T>(h) + first * hidden;
    pack_tile(state, rows, hidden, g.in.at(tile, 0), g.in.stride(tile));
    pack_tile(constant<T>(x) + first * features, rows, features, g.x.at(tile, 0), g.x.stride(tile));
    forward_step<T>(s, constant<T>(block), chunk, g);
    unpack_tile(g.out.at(tile, 0), g.out.stride(tile), rows, hidden, state);
  }
}

template <class T>
void tanh_array(const void *x, void *y, int64_t count) {
  for (int64_t i = 0; i < count; i += Simd<T>::lanes)
    store_row<T>(mutable_<T>(y) + i, tanh<T>(load_row<T>(constant<T>(x) + i, count - i)), count - i);
}

// Independent multiply-adds, as many as hide their latency.
double peak_f32(int64_t rounds) {
  constexpr int L = Simd<float>::lanes;
  constexpr int N = 12;
  Vec<float> acc[N];
  const Vec<float> x = broadcast<float>(0.999f), y = broadcast<float>(0.001f);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) acc[i] = broadcast<float>(1.0f + i);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      acc[i] = acc[i] * x + y;
      LS_KEEP(acc[i]);
    }
  }
  Vec<float> sum = {};
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) sum += acc[i];
  return sum[0] == -1.0f ? 0.0 : 2.0 * rounds * N * L;  // depends on the result, so that it is made
}

template <class T>
constexpr LipschitzKernels kernels() {
  return {forward_bytes<T>,  forward_prepare<T>,  forward_run<T>, backward_bytes<T>, backward_prepare<T>,
          backward_run<T>,   backward_finish<T>,  pack_bytes<T>,  pack<T>,           step<T>,
          tanh_array<T>};
}

extern const LipschitzVariant variant;
const LipschitzVariant variant = {kernels<float>(), kernels<double>(), peak_f32};

}  // namespace LS_NAMESPACE
