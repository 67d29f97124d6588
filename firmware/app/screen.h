/* What a board with a display shows: the picture that the model was fed, and "It looks like the number N". Built with
 * SCREEN=1; without it, there is nothing of it in the image. */
#ifndef SCREEN_H
#define SCREEN_H

#ifdef SCREEN

/* The model's input, if it is a grey picture: before it is lost. */
void screen_input(void);

/* The answer: the class of the output's largest code. */
void screen_answer(void);

#else

static inline void screen_input(void) {}
static inline void screen_answer(void) {}

#endif

#endif
