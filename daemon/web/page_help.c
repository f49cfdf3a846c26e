/* GET /aide and GET /accessibilite: texts, also for somebody who has not logged in. */
#include "web/route.h"

void page_help(struct visit *v)
{
	visit_render(v, 200, "help");
}

void page_accessibility(struct visit *v)
{
	visit_render(v, 200, "accessibility");
}
