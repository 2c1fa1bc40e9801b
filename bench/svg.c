#include "bench/svg.h"

#include <math.h>
#include <stdbool.h>

#define WIDTH  760.0
#define HEIGHT 260.0
#define LEFT   70.0
#define RIGHT  20.0
#define TOP    12.0
#define BOTTOM 34.0
#define ROW    30.0 /* of a stage */

/* Maps values into the frame, each axis linear or by the logarithm. */
struct frame {
	FILE *out;
	double x_from, x_to, y_from, y_to;
	bool x_log, y_log;
};

void svg_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '"': fputs("&quot;", out); break;
		case '\'': fputs("&#39;", out); break;
		default: fputc(*text < ' ' || *text > '~' ? '?' : *text, out); break;
		}
	}
}

static double place(double v, double from, double to, bool by_log)
{
	if (by_log)
		v = log(v / from) / log(to / from);
	else
		v = (v - from) / (to - from);
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

static double x_of(const struct frame *f, double v)
{
	return LEFT + place(v, f->x_from, f->x_to, f->x_log) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double v)
{
	return HEIGHT - BOTTOM - place(v, f->y_from, f->y_to, f->y_log) * (HEIGHT - TOP - BOTTOM);
}

static void x_tick(const struct frame *f, double v, const char *unit)
{
	fprintf(f->out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/>"
			"<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%g%s</text>\n",
		x_of(f, v), x_of(f, v), TOP, HEIGHT - BOTTOM, x_of(f, v), HEIGHT - BOTTOM + 18, v, unit);
}

static void y_tick(const struct frame *f, double v, const char *unit)
{
	fprintf(f->out, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g%s</text>\n",
		LEFT, WIDTH - RIGHT, y_of(f, v), y_of(f, v), LEFT - 6, y_of(f, v) + 4, v, unit);
}

/* 1, 2 and 5 of each power of ten; fewer when there are many powers. */
static void log_ticks(const struct frame *f, double from, double to,
		      void (*tick)(const struct frame *, double, const char *))
{
	static const double steps[] = {1, 2, 5};
	bool all = log10(to / from) < 3.5;

	for (double power = pow(10, floor(log10(from))); power <= to; power *= 10)
		for (int i = 0; i < (all ? 3 : 1); i++)
			if (power * steps[i] >= from && power * steps[i] <= to)
				tick(f, power * steps[i], " ms");
}

static void linear_ticks(const struct frame *f, double to, const char *unit)
{
	double step = pow(10, floor(log10(to)));

	if (to / step < 2)
		step /= 5;
	else if (to / step < 5)
		step /= 2;
	for (int i = 0; i * step <= to; i++)
		x_tick(f, i * step, unit);
}

static void begin(FILE *out, double height, const char *label)
{
	fprintf(out, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"%s\">\n", WIDTH, height, label);
}

static double ms(double ns)
{
	return ns / 1e6;
}

/* Room on both sides: also when all values are the same. */
static void widen(double *from, double *to)
{
	*from = *from > 1e-6 ? *from / 1.1 : 1e-6;
	*to = *to > *from ? *to * 1.1 : *from * 10;
}

static void draw_curve(const struct frame *f, const struct svg_curve *c)
{
	const struct hist *h = c->latency;
	uint64_t seen = 0;
	double before = -1;

	fprintf(f->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" points=\"%.1f,%.1f", c->colour,
		x_of(f, ms((double)h->min)), y_of(f, 0));
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		if (!h->count[i])
			continue;
		double x = x_of(f, ms((double)hist_value(i)));

		if (x - before >= 0.3) /* a step, not a slope */
			fprintf(f->out, " %.1f,%.1f", x, y_of(f, 100 * (double)seen / (double)h->total));
		seen += h->count[i];
		if (x - before >= 0.3 || seen == h->total) {
			fprintf(f->out, " %.1f,%.1f", x, y_of(f, 100 * (double)seen / (double)h->total));
			before = x;
		}
	}
	fputs("\"/>\n", f->out);
}

void svg_cdf(FILE *out, const struct svg_curve *curves, unsigned count)
{
	struct frame f = {.out = out, .x_from = HUGE_VAL, .y_to = 100, .x_log = true};

	for (unsigned i = 0; i < count; i++) {
		f.x_from = fmin(f.x_from, ms((double)curves[i].latency->min));
		f.x_to = fmax(f.x_to, ms((double)curves[i].latency->max));
	}
	if (count == 0)
		return;
	widen(&f.x_from, &f.x_to);
	begin(out, HEIGHT, "share of answers by latency");
	log_ticks(&f, f.x_from, f.x_to, x_tick);
	for (int share = 0; share <= 100; share += 25)
		y_tick(&f, share, " %");
	for (unsigned i = 0; i < count; i++) {
		draw_curve(&f, &curves[i]);
		fprintf(out, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\" class=\"key\" fill=\"%s\">", WIDTH - RIGHT - 6,
			HEIGHT - BOTTOM - 10 - 16.0 * (count - 1 - i), curves[i].colour);
		svg_text(out, curves[i].name);
		fputs("</text>\n", out);
	}
	fputs("</svg>\n", out);
}

static void draw_line(const struct frame *f, const struct timeline *t, const char *class, int which)
{
	double width = (double)t->width_ns / 1e9;

	fprintf(f->out, "<polyline class=\"%s\" points=\"", class);
	for (unsigned i = 0; i < timeline_used(t); i++) {
		const struct timeline_piece *p = &t->piece[i];
		double ns = which > 0 ? (double)p->max : which < 0 ? (double)p->min : p->ok ? p->sum / (double)p->ok : 0;

		if (p->ok)
			fprintf(f->out, " %.1f,%.1f", x_of(f, (i + 0.5) * width), y_of(f, ms(ns)));
	}
	fputs("\"/>\n", f->out);
}

void svg_timeline(FILE *out, const struct timeline *t)
{
	struct frame f = {.out = out, .y_from = HUGE_VAL, .y_log = true};
	unsigned used = timeline_used(t);

	for (unsigned i = 0; i < used; i++) {
		if (t->piece[i].ok) {
			f.y_from = fmin(f.y_from, ms((double)t->piece[i].min));
			f.y_to = fmax(f.y_to, ms((double)t->piece[i].max));
		}
	}
	if (used == 0)
		return;
	if (f.y_to == 0) /* failures only */
		f.y_from = 1;
	widen(&f.y_from, &f.y_to);
	f.x_to = used * (double)t->width_ns / 1e9;
	begin(out, HEIGHT, "latency over time");
	linear_ticks(&f, f.x_to, " s");
	log_ticks(&f, f.y_from, f.y_to, y_tick);
	draw_line(&f, t, "least", -1);
	draw_line(&f, t, "mean", 0);
	draw_line(&f, t, "most", 1);
	for (unsigned i = 0; i < used; i++)
		if (t->piece[i].failed)
			fprintf(out, "<circle class=\"failed\" r=\"3\" cx=\"%.1f\" cy=\"%g\"><title>%lu failed</title></circle>\n",
				x_of(&f, (i + 0.5) * (double)t->width_ns / 1e9), HEIGHT - BOTTOM,
				(unsigned long)t->piece[i].failed);
	fputs("</svg>\n", out);
}

void svg_stages(FILE *out, const struct timing *t)
{
	double most = 0, scale;

	for (unsigned i = 0; i < t->count; i++)
		most = fmax(most, (double)hist_percentile(&t->stage[i]->ns, 99));
	if (t->count == 0)
		return;
	scale = most > 0 ? (WIDTH - 2 * LEFT - 160) / most : 0;
	begin(out, t->count * ROW + 8, "stages");
	for (unsigned i = 0; i < t->count; i++) {
		double p50 = (double)hist_percentile(&t->stage[i]->ns, 50);
		double p99 = (double)hist_percentile(&t->stage[i]->ns, 99);
		double y = i * ROW + 6;

		fprintf(out, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\">", 2 * LEFT - 8, y + 14);
		svg_text(out, t->stage[i]->name);
		fprintf(out, "</text><rect class=\"p99\" x=\"%g\" y=\"%g\" width=\"%.1f\" height=\"18\"/>"
			     "<rect class=\"p50\" x=\"%g\" y=\"%g\" width=\"%.1f\" height=\"18\"/>"
			     "<text x=\"%.1f\" y=\"%g\">%.3f / %.3f ms</text>\n",
			2 * LEFT, y, p99 * scale, 2 * LEFT, y, p50 * scale, 2 * LEFT + p99 * scale + 6, y + 14, ms(p50),
			ms(p99));
	}
	fputs("</svg>\n", out);
}
