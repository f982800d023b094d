// How often each letter occurs.
#pragma once

enum { kLetters = 26 };

struct Tally {
  unsigned long count[kLetters];
};

void tally_add(struct Tally* tally, int character);
void tally_print(const struct Tally* tally);
