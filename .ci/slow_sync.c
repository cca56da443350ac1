/* A disk that takes SLOW_SYNC_MS for each sync, as a worn memory card does: for LD_PRELOAD (.ci/slow_disk). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static int slow(const char *name, int descriptor) {
  const char *asked = getenv("SLOW_SYNC_MS");
  long ms = asked ? atol(asked) : 0;
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  return real(descriptor);
}

int fsync(int descriptor) { return slow("fsync", descriptor); }

int fdatasync(int descriptor) { return slow("fdatasync", descriptor); }
