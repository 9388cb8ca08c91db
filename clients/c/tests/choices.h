/* What the fuzz targets share: an input is a list of choices, and what must be true ends them where it is not. */
#ifndef CHOICES_H
#define CHOICES_H

#include <stdint.h>
#include <stdlib.h>

#define MUST(what) ((what) ? (void)0 : abort())

/* Takes numbers off the input; 0 where it has ended. */
struct choices { const uint8_t *at; size_t left; };

static unsigned choose(struct choices *from)
{
    if (from->left == 0) return 0;
    from->left--;
    return *from->at++;
}

#endif
