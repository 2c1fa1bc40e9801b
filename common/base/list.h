/* Intrusive doubly linked list. A node unlinked by stk_list_del points to itself. */
#ifndef COMMON_BASE_LIST_H
#define COMMON_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct stk_list {
	struct stk_list *next, *prev;
};

#define STK_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void stk_list_init(struct stk_list *l)
{
	l->next = l->prev = l;
}

static inline bool stk_list_empty(const struct stk_list *l)
{
	return l->next == l;
}

static inline void stk_list_add_tail(struct stk_list *head, struct stk_list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void stk_list_add_head(struct stk_list *head, struct stk_list *n)
{
	stk_list_add_tail(head->next, n);
}

static inline void stk_list_del(struct stk_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	stk_list_init(n);
}

#define STK_LIST_FOREACH(it, head) \
	for (struct stk_list *it = (head)->next; it != (head); it = it->next)
/* The current node may be unlinked or freed in the body. */
#define STK_LIST_FOREACH_SAFE(it, tmp, head)                                          \
	for (struct stk_list *it = (head)->next, *tmp = it->next; it != (head);       \
	     it = tmp, tmp = it->next)

#endif
