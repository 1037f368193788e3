/*
 * A slice through the loss around trained weights, and its picture.
 */
#ifndef CLTRAIN_LANDSCAPE_H
#define CLTRAIN_LANDSCAPE_H

/* Losses on a square grid: (row, column) is at y, x = -range .. range. */
struct landscape {
    int points;   /* in a row; odd, so that the middle is the weights themselves */
    double range; /* in lengths of the filters */
    double *loss; /* (points, points); NaN or Inf where the network gave no number */
};

/** Where row or column i is. */
double landscape_place(const struct landscape *map, int i);

/** A heat map with contours, as SVG. DONE, or an exit code after a message. */
int landscape_draw(const struct landscape *map, const char *path, const char *title);

#endif
