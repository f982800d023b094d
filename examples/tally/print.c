#include <stdio.h>

#include "tally.h"

void tally_print(const struct Tally* tally) {
  for (int i = 0; i < kLetters; ++i) {
    if (tally->count[i] > 0) printf("%c %lu\n", 'a' + i, tally->count[i]);
  }
}
