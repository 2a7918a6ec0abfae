/*
 * test_drain.c - a server that is emptied: who is closed when, and who comes in.
 */
#include "unit.h"

#include "rig.h"

static int
open_clients(void)
{
	int			n = 0;

	for (int i = 0; i < RIG_CLIENTS; i++)
		n += rig.clients[i].s != NULL;
	return n;
}

int
main(void)
{
	Client	   *c;

	unit_case("sessions are closed one by one, evenly, without a DISCONNECT");
	rig_start();
	for (int i = 0; i < 10; i++)
		rig_connect(i, "ada", "x");
	CHECK(server_drain(rig.server, 1000, rig.now) == 10 && server_draining(rig.server));
	for (int left = 10; left > 0; left--)
	{
		CHECK(open_clients() == left);
		rig_wait(100 + (left == 10 ? TIMER_TICK_MS : 0));
	}
	CHECK(open_clients() == 0);
	for (int i = 0; i < 10; i++)
	{
		CHECK(rig.clients[i].reason == CLOSE_SHUTDOWN);
		SAID(&rig.clients[i], "closed(server shutting down)");
	}

	unit_case("there are no new ones until it ends");
	c = rig_open(10, TRANSPORT_WEBSOCKET);
	CHECK(c->s == NULL && rig.refusal == REFUSED_DRAINING);
	CHECK(server_counters(rig.server)[COUNTER_REFUSED_DRAINING] == 1);
	server_drain_end(rig.server);
	CHECK(!server_draining(rig.server) && rig_connect(10, "ada", "x")->s != NULL);

	unit_case("a second call spreads anew, and who is left at the end stays");
	rig_connect(11, "ada", "x");
	CHECK(server_drain(rig.server, 100000, rig.now) == 2);
	CHECK(server_drain(rig.server, 200, rig.now) == 2);
	rig_wait(100 + TIMER_TICK_MS);
	CHECK(open_clients() == 1);
	server_drain_end(rig.server);
	rig_wait(1000);
	CHECK(open_clients() == 1);

	unit_case("0: all at once");
	rig_connect(12, "ada", "x");
	CHECK(server_drain(rig.server, 0, rig.now) == 2);
	rig_wait(2 * TIMER_TICK_MS);
	CHECK(open_clients() == 0);
	rig_stop();

	unit_case("nobody is there: nothing to do");
	rig_start();
	CHECK(server_drain(rig.server, 1000, rig.now) == 0);
	rig_stop();
	return unit_done();
}
