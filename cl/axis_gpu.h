/*
 * How the positions of a convolution's result walk over its source along one axis: pixel
 * first + q * step of the result looks at origin + q * stride + t * spread of the source for the
 * taps t, with the weights at tap_first + t * tap_step.
 *
 * Forward that is -pad + q * S + t * D. Backward, pixel i of dx gets dy[o] w[k] where
 * o * S - pad + k * D = i, so which taps there are depends on (i + pad) mod S: pixels are dealt out
 * to that many phases, each with its own taps and none in vain.
 */
typedef struct axis {
    int origin, stride, taps, spread;
    int first, step, count; // q < count; the last pixel may lie behind the image
    int tap_first, tap_step;
} axis;

static inline axis forward_axis(int K, int S, int pad, int D, int result)
{
    const axis a = {-pad, S, K, D, 0, 1, result, 0, 1};
    return a;
}

/* Taps k of phase r have k * D mod S = r: one in each run of S / gcd(S, D), or none. */
static inline axis backward_axis(int K, int S, int pad, int D, int result, int r)
{
    axis a;
    int gcd = S;
    for (int rest = D; rest != 0;) {
        const int next = gcd % rest;
        gcd = rest;
        rest = next;
    }
    a.tap_step = S / gcd;
    int k = 0;
    while (k < K && k < a.tap_step && k * D % S != r) k++;
    a.tap_first = k;
    a.taps = k < K && k < a.tap_step ? (K - k + a.tap_step - 1) / a.tap_step : 0;
    a.first = (r + (pad / S + 1) * S - pad) % S;
    a.step = S;
    a.count = (result + S - 1) / S;
    a.origin = (a.first + pad - r) / S - (k * D - r) / S;
    a.stride = 1;
    a.spread = -(D / gcd);
    return a;
}
