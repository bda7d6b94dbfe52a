/* EC in C99, through the JSON vectors: for each <case>.json named, writes <case>.out.json beside it.
 *
 *     cc -std=c99 -O2 -o ec_vectors ec_vectors.c -lm && ./ec_vectors DIR/?*.json
 *
 * The first half reads JSON, the second half is the method: s_i = sum_k (df_k/dz_i)^2, mu = E[s a]/E[s],
 * importance w^2 E[s (a - mu)^2], bias shift w mu.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file_name = "";

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", file_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("out of memory");
    return memory;
}

/* ---- JSON: a value is a number, a string, or a list of items (with keys, where it is an object) */

enum kind { NUMBER, STRING, LIST, OBJECT, OTHER };

struct value {
    enum kind kind;
    double number;
    char *string;
    size_t count;
    struct value *items;
    char **keys;
};

static const char *cursor;

static struct value parse_value(int depth);

static void skip_space(void) {
    while (*cursor == ' ' || *cursor == '\n' || *cursor == '\t' || *cursor == '\r') cursor++;
}

static void expect(char character) {
    skip_space();
    if (*cursor != character) fail("expected '%c', got '%.20s'", character, cursor);
    cursor++;
}

static char *parse_string(void) { /* escapes are kept as they are: no name that matters here has any */
    expect('"');
    const char *start = cursor;
    while (*cursor && *cursor != '"') cursor += (*cursor == '\\' && cursor[1]) ? 2 : 1;
    size_t length = (size_t)(cursor - start);
    char *text = allocate(length + 1, 1);
    memcpy(text, start, length);
    expect('"');
    return text;
}

static struct value parse_items(char close, int depth) {
    struct value list = {close == '}' ? OBJECT : LIST, 0, NULL, 0, NULL, NULL};
    cursor++;
    for (skip_space(); *cursor != close; skip_space()) {
        if (list.count > 0) expect(',');
        list.items = realloc(list.items, (list.count + 1) * sizeof *list.items);
        list.keys = realloc(list.keys, (list.count + 1) * sizeof *list.keys);
        if (!list.items || !list.keys) fail("out of memory");
        list.keys[list.count] = NULL;
        if (close == '}') {
            skip_space();
            list.keys[list.count] = parse_string();
            expect(':');
        }
        list.items[list.count++] = parse_value(depth + 1);
    }
    cursor++;
    return list;
}

static struct value parse_value(int depth) {
    struct value v = {OTHER, 0, NULL, 0, NULL, NULL};
    if (depth > 100) fail("nested too deeply");
    skip_space();
    if (*cursor == '{') return parse_items('}', depth);
    if (*cursor == '[') return parse_items(']', depth);
    if (*cursor == '"') {
        v.kind = STRING;
        v.string = parse_string();
    } else if (*cursor == '-' || (*cursor >= '0' && *cursor <= '9')) {
        char *end;
        v.kind = NUMBER;
        v.number = strtod(cursor, &end); /* exact: every double comes back as it was written */
        cursor = end;
    } else if (!strncmp(cursor, "true", 4) || !strncmp(cursor, "null", 4)) {
        cursor += 4;
    } else if (!strncmp(cursor, "false", 5)) {
        cursor += 5;
    } else {
        fail("expected a value, got '%.20s'", cursor);
    }
    return v;
}

static const struct value *get(const struct value *object, const char *key, enum kind kind) {
    for (size_t i = 0; object->kind == OBJECT && i < object->count; i++)
        if (!strcmp(object->keys[i], key) && object->items[i].kind == kind) return &object->items[i];
    fail("\"%s\" is missing, or of another type", key);
    return NULL;
}

static void release(struct value *v) {
    for (size_t i = 0; i < v->count; i++) {
        release(&v->items[i]);
        free(v->keys[i]);
    }
    free(v->items);
    free(v->keys);
    free(v->string);
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot be read");
    size_t size = 0, capacity = 1 << 16;
    char *text = allocate(capacity + 1, 1);
    for (size_t n; (n = fread(text + size, 1, capacity - size, file)) > 0;) {
        size += n;
        if (size == capacity && !(text = realloc(text, (capacity *= 2) + 1))) fail("out of memory");
    }
    fclose(file);
    text[size] = '\0';
    return text;
}

/* ---- Matrices, by rows */

struct matrix {
    size_t rows, columns;
    double *at;
};

static struct matrix new_matrix(size_t rows, size_t columns) {
    struct matrix m = {rows, columns, allocate(rows * columns, sizeof(double))};
    return m;
}

static struct matrix to_matrix(const struct value *list) { /* a list of numbers becomes one row */
    int nested = list->count > 0 && list->items[0].kind == LIST;
    size_t rows = nested ? list->count : 1, columns = nested ? list->items[0].count : list->count;
    struct matrix m = new_matrix(rows, columns);
    for (size_t i = 0; i < rows; i++) {
        const struct value *row = nested ? &list->items[i] : list;
        if (row->kind != LIST || row->count != columns) fail("rows of unlike length");
        for (size_t j = 0; j < columns; j++) {
            if (row->items[j].kind != NUMBER) fail("expected a number");
            m.at[i * columns + j] = row->items[j].number;
        }
    }
    return m;
}

/* ---- Activations: sigma(z) and its derivative */

static double logistic(double z) { return z > 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

static double sigma(const char *name, double z) {
    if (!strcmp(name, "identity")) return z;
    if (!strcmp(name, "relu")) return z > 0 ? z : 0;
    if (!strcmp(name, "leaky_relu")) return z > 0 ? z : 0.01 * z;
    if (!strcmp(name, "elu")) return z > 0 ? z : expm1(z);
    if (!strcmp(name, "sigmoid")) return logistic(z);
    if (!strcmp(name, "tanh")) return tanh(z);
    if (!strcmp(name, "softplus")) return fmax(z, 0) + log1p(exp(-fabs(z)));
    if (!strcmp(name, "sin")) return sin(z);
    if (!strcmp(name, "silu")) return z * logistic(z);
    if (!strcmp(name, "gelu")) return z * erfc(-z / sqrt(2)) / 2;
    fail("no activation '%s'", name);
    return 0;
}

static double sigma_derivative(const char *name, double z) {
    double s = logistic(z);
    if (!strcmp(name, "relu")) return z > 0;
    if (!strcmp(name, "leaky_relu")) return z > 0 ? 1 : 0.01;
    if (!strcmp(name, "elu")) return z > 0 ? 1 : exp(z);
    if (!strcmp(name, "sigmoid")) return s * (1 - s);
    if (!strcmp(name, "tanh")) return 1 - tanh(z) * tanh(z);
    if (!strcmp(name, "softplus")) return s;
    if (!strcmp(name, "sin")) return cos(z);
    if (!strcmp(name, "silu")) return s + z * s * (1 - s);
    if (!strcmp(name, "gelu")) return erfc(-z / sqrt(2)) / 2 + z * exp(-z * z / 2) / sqrt(2 * acos(-1));
    return 1;
}

/* ---- The method */

struct network {
    size_t n_layers, n_samples;
    const char *activation;
    struct matrix *w, *b, *a, *z, *s; /* per layer; a are the layer's inputs, s its sensitivities */
};

static void forward(struct network *net) { /* z = W a + b, a = sigma(z) */
    for (size_t l = 0; l < net->n_layers; l++) {
        struct matrix w = net->w[l], a = net->a[l];
        size_t n_out = w.rows, n_in = w.columns;
        if (a.columns != n_in || net->b[l].columns != n_out) fail("layer %d: shapes do not fit", (int)l);
        net->z[l] = new_matrix(net->n_samples, n_out);
        net->s[l] = new_matrix(net->n_samples, n_out);
        if (l + 1 < net->n_layers) net->a[l + 1] = new_matrix(net->n_samples, n_out);
        for (size_t n = 0; n < net->n_samples; n++)
            for (size_t i = 0; i < n_out; i++) {
                double z = net->b[l].at[i];
                for (size_t j = 0; j < n_in; j++) z += w.at[i * n_in + j] * a.at[n * n_in + j];
                net->z[l].at[n * n_out + i] = z;
                if (l + 1 < net->n_layers) net->a[l + 1].at[n * n_out + i] = sigma(net->activation, z);
            }
    }
}

static void backward(struct network *net) { /* g = e_k, then g = (g W) sigma'(z); s adds up g^2 over k */
    size_t n_outputs = net->w[net->n_layers - 1].rows;
    for (size_t n = 0; n < net->n_samples; n++)
        for (size_t k = 0; k < n_outputs; k++) {
            double *g = allocate(n_outputs, sizeof *g);
            g[k] = 1;
            for (size_t l = net->n_layers; l-- > 0;) {
                struct matrix w = net->w[l];
                for (size_t i = 0; i < w.rows; i++) net->s[l].at[n * w.rows + i] += g[i] * g[i];
                if (l == 0) break;
                double *before = allocate(w.columns, sizeof *before);
                for (size_t j = 0; j < w.columns; j++) {
                    for (size_t i = 0; i < w.rows; i++) before[j] += g[i] * w.at[i * w.columns + j];
                    before[j] *= sigma_derivative(net->activation, net->z[l - 1].at[n * w.columns + j]);
                }
                free(g);
                g = before;
            }
            free(g);
        }
}

static void score(struct network *net, size_t l, struct matrix importance, struct matrix bias_shift) {
    struct matrix w = net->w[l], a = net->a[l], s = net->s[l];
    for (size_t i = 0; i < w.rows; i++)
        for (size_t j = 0; j < w.columns; j++) {
            double total = 0, first = 0, square = 0, weight = w.at[i * w.columns + j];
            for (size_t n = 0; n < net->n_samples; n++) {
                total += s.at[n * w.rows + i];
                first += s.at[n * w.rows + i] * a.at[n * w.columns + j];
            }
            double mean = total > 0 ? first / total : 0;
            for (size_t n = 0; n < net->n_samples; n++) {
                double centred = a.at[n * w.columns + j] - mean;
                square += s.at[n * w.rows + i] * centred * centred;
            }
            importance.at[i * w.columns + j] = weight * (weight * (square / (double)net->n_samples));
            bias_shift.at[i * w.columns + j] = weight * mean;
        }
}

static void write_layers(FILE *file, const char *name, const struct matrix *layers, size_t n_layers) {
    fprintf(file, "\"%s\": [", name);
    for (size_t l = 0; l < n_layers; l++) {
        fputs(l ? ", [" : "[", file);
        for (size_t i = 0; i < layers[l].rows; i++) {
            fputs(i ? ", [" : "[", file);
            for (size_t j = 0; j < layers[l].columns; j++)
                fprintf(file, "%s%.17g", j ? ", " : "", layers[l].at[i * layers[l].columns + j]);
            fputc(']', file);
        }
        fputc(']', file);
    }
    fputc(']', file);
}

static void work_through(const char *path) {
    file_name = path;
    size_t length = strlen(path);
    if (length < 5 || strcmp(path + length - 5, ".json")) fail("expected a name that ends in .json");
    char *text = read_file(path);
    cursor = text;
    struct value vector = parse_value(0);
    const struct value *w = get(&vector, "weights", LIST), *b = get(&vector, "biases", LIST);
    struct network net = {w->count, 0, get(&vector, "activation", STRING)->string, NULL, NULL, NULL, NULL, NULL};
    if (net.n_layers == 0 || b->count != net.n_layers) fail("as many biases as weights are needed");
    struct matrix **arrays[] = {&net.w, &net.b, &net.a, &net.z, &net.s};
    for (size_t m = 0; m < 5; m++) *arrays[m] = allocate(net.n_layers, sizeof(struct matrix));
    for (size_t l = 0; l < net.n_layers; l++) {
        net.w[l] = to_matrix(&w->items[l]);
        net.b[l] = to_matrix(&b->items[l]);
    }
    net.a[0] = to_matrix(get(&vector, "x", LIST));
    net.n_samples = net.a[0].rows;
    forward(&net);
    backward(&net);

    struct matrix *importance = allocate(net.n_layers, sizeof *importance);
    struct matrix *bias_shift = allocate(net.n_layers, sizeof *bias_shift);
    for (size_t l = 0; l < net.n_layers; l++) {
        importance[l] = new_matrix(net.w[l].rows, net.w[l].columns);
        bias_shift[l] = new_matrix(net.w[l].rows, net.w[l].columns);
        score(&net, l, importance[l], bias_shift[l]);
    }
    char *out = allocate(length + 5, 1);
    sprintf(out, "%.*s.out.json", (int)(length - 5), path);
    FILE *file = fopen(out, "w");
    if (!file) fail("cannot write %s", out);
    fputc('{', file);
    write_layers(file, "importance", importance, net.n_layers);
    fputs(", ", file);
    write_layers(file, "bias_shift", bias_shift, net.n_layers);
    fputs("}\n", file);
    if (fclose(file)) fail("cannot write %s", out);

    for (size_t l = 0; l < net.n_layers; l++) {
        for (size_t m = 0; m < 5; m++) free((*arrays[m])[l].at);
        free(importance[l].at);
        free(bias_shift[l].at);
    }
    for (size_t m = 0; m < 5; m++) free(*arrays[m]);
    free(importance);
    free(bias_shift);
    free(out);
    release(&vector);
    free(text);
}

int main(int count, char **names) {
    if (count < 2) {
        fprintf(stderr, "usage: %s CASE.json ...\n", names[0]);
        return 2;
    }
    for (int i = 1; i < count; i++) work_through(names[i]);
    return 0;
}
