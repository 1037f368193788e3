/*
 * For kernels of the CPU engine. Asks for the 64 bytes at p: global memory to be read, local or
 * global memory to be written. The standard prefetch() is empty in the implementations for CPUs at
 * hand; where the compiler is a native one, its own is used.
 */
#if !defined(PREFETCH) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#define PREFETCH(p) __builtin_prefetch((const void *)(ulong)(p), 0, 2) // to the second-level cache
#define PREFETCH_LOCAL(p) __builtin_prefetch((const void *)(ulong)(p), 1, 3) // to the first
#define PREFETCH_STORE(p) __builtin_prefetch((const void *)(ulong)(p), 1, 3)
#endif
#endif
#ifndef PREFETCH
#define PREFETCH(p) prefetch(p, 16)
#define PREFETCH_LOCAL(p) // OpenCL C has none for local memory,
#define PREFETCH_STORE(p) // and none for writing
#endif
