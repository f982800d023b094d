#include <ctype.h>

#include "tally.h"

void tally_add(struct Tally* tally, int character) {
  const int letter = tolower(character) - 'a';
  if (letter >= 0 && letter < kLetters) ++tally->count[letter];
}
