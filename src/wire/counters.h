/*
 * counters.h - the counters of rooms.stats, in one list.
 *
 * The gateway keeps its counters in an array indexed by GatewayCounter and
 * sends the whole array to the worker (LINK_STATS); the worker keeps its own
 * (WorkerCounter) and copies both to shared memory, where the view reads
 * them.  C(id, name, kind, text): name and text are for people, in the
 * view, README.md and /metrics; a GAUGE may fall.
 */
#ifndef ROOMS_WIRE_COUNTERS_H
#define ROOMS_WIRE_COUNTERS_H

#define GATEWAY_COUNTERS(C) \
	C(CONNECTIONS, "connections", GAUGE, "connections (Engine.IO sessions) open now") \
	C(SOCKETS, "sockets", GAUGE, "sockets connected now") \
	C(ROOMS, "rooms", GAUGE, "rooms that somebody is in now") \
	C(QUEUED_BYTES, "queued_bytes", GAUGE, "bytes that wait for clients now") \
	C(HANDSHAKES, "handshakes", TOTAL, "connections that were opened") \
	C(CONNECTS, "connects", TOTAL, "sockets that were connected") \
	C(MESSAGES, "messages", TOTAL, "messages of the bus: events, commands and what belongs to handlers") \
	C(EMITS, "emits", TOTAL, "events that came over the bus") \
	C(DELIVERIES, "deliveries", TOTAL, "events times the sockets that they were queued for") \
	C(DROPPED_VOLATILE, "dropped_volatile", TOTAL, "volatile events that a socket was not ready for") \
	C(THROTTLED, "throttled", TOTAL, "throttled events that a newer one took the place of") \
	C(THROTTLE_FULL, "throttle_full", TOTAL, "throttled events that went out before their turn, as 64 MB were kept already") \
	C(BYTES_OUT, "bytes_out", TOTAL, "bytes that were handed to transports") \
	C(MESSAGES_OUT, "messages_out", TOTAL, "Engine.IO messages queued for clients, all but heartbeats") \
	C(MESSAGES_IN, "messages_in", TOTAL, "Engine.IO messages from clients, without heartbeats") \
	C(BYTES_IN, "bytes_in", TOTAL, "bytes of messages and POST bodies from clients") \
	C(LATENCY_P50, "latency_p50_us", GAUGE, "microseconds from COMMIT to the sending of its events, median of the last one to two minutes") \
	C(LATENCY_P95, "latency_p95_us", GAUGE, "95th percentile of the same") \
	C(LATENCY_P99, "latency_p99_us", GAUGE, "99th percentile of the same") \
	C(LATENCY_COUNT, "latency_count", TOTAL, "transactions whose latency was measured") \
	C(LATENCY_SUM, "latency_sum_us", TOTAL, "sum of their latencies in microseconds") \
	C(PACKETS_IN, "packets_in", TOTAL, "Engine.IO packets from clients, heartbeats included") \
	C(REFUSED_ORIGIN, "refused_origin", TOTAL, "requests refused because of their Origin") \
	C(REFUSED_AUTH, "refused_auth", TOTAL, "sockets refused for want of a good token, or for auth that jsonb cannot hold") \
	C(REFUSED_AUTH_SIZE, "refused_auth_size", TOTAL, "sockets refused because of more than 4 kB beside the token") \
	C(REFUSED_NAMESPACE, "refused_namespace", TOTAL, "sockets refused because there is no such namespace") \
	C(REFUSED_MAX_CONNECTIONS, "refused_max_connections", TOTAL, "connections refused by max_connections") \
	C(REFUSED_PER_USER, "refused_max_connections_per_user", TOTAL, "sockets refused by max_connections_per_user") \
	C(REFUSED_PER_IP, "refused_max_connections_per_ip", TOTAL, "connections refused by max_connections_per_ip") \
	C(REFUSED_HANDSHAKES, "refused_max_handshakes_per_second", TOTAL, "connections refused by max_handshakes_per_second") \
	C(REFUSED_PENDING, "refused_max_pending_handshakes", TOTAL, "TCP connections closed by max_pending_handshakes") \
	C(REFUSED_DRAINING, "refused_draining", TOTAL, "connections refused because of drain") \
	C(REFUSED_EVENTS, "refused_max_events_per_second", TOTAL, "events refused by max_events_per_second") \
	C(REFUSED_BYTES, "refused_max_bytes_per_second", TOTAL, "events refused by max_bytes_per_second") \
	C(REFUSED_ROOMS, "refused_max_rooms_per_socket", TOTAL, "joins refused by max_rooms_per_socket") \
	C(REFUSED_NAMESPACES, "refused_max_namespaces_per_connection", TOTAL, "sockets refused by max_namespaces_per_connection") \
	C(REFUSED_NAME, "refused_event_name", TOTAL, "events refused for a name of more than 255 bytes") \
	C(REFUSED_ROOM_NAME, "refused_room_name", TOTAL, "events refused for a room name that is none") \
	C(REFUSED_PAYLOAD, "refused_max_payload", TOTAL, "POSTs refused by max_payload") \
	C(REFUSED_URL, "refused_url", TOTAL, "requests refused for a URL of more than 8 kB") \
	C(REFUSED_HEADER, "refused_header", TOTAL, "requests refused for a header of more than 16 kB") \
	C(REQUEST_TIMEOUT, "refused_request_timeout", TOTAL, "TLS handshakes, heads and bodies that took too long") \
	C(REFUSED_REQUEST, "refused_request", TOTAL, "bad HTTP and Engine.IO requests") \
	C(DISCONNECT_CLIENT, "disconnect_client", TOTAL, "connections ended by the client") \
	C(DISCONNECT_TRANSPORT, "disconnect_transport", TOTAL, "connections ended by an error of the transport") \
	C(DISCONNECT_PING_TIMEOUT, "disconnect_ping_timeout", TOTAL, "connections ended because a heartbeat was not answered") \
	C(DISCONNECT_PARSE_ERROR, "disconnect_parse_error", TOTAL, "connections ended by a malformed packet") \
	C(DISCONNECT_CONNECT_TIMEOUT, "disconnect_connect_timeout", TOTAL, "connections ended by connect_timeout") \
	C(DISCONNECT_FORCED, "disconnect_forced", TOTAL, "connections ended by a packet out of place, or so that they come back") \
	C(DISCONNECT_SLOW, "disconnect_slow", TOTAL, "connections ended because more than max_queued waited") \
	C(DISCONNECT_EXPIRED, "disconnect_expired", TOTAL, "connections ended because the token had expired or its key was taken away") \
	C(DISCONNECT_FLOOD, "disconnect_flood", TOTAL, "connections ended by ten times max_events_per_second or max_bytes_per_second, or too many CONNECTs") \
	C(DISCONNECT_TOO_LARGE, "disconnect_too_large", TOTAL, "connections ended by a message over max_payload, or attachments over four times that") \
	C(DISCONNECT_SERVER, "disconnect_server", TOTAL, "connections ended by disconnect_sockets or the stop of the gateway") \
	C(CALLS, "handler_calls", TOTAL, "runs of handlers, joins and connects included") \
	C(CALLS_FAILED, "handler_errors", TOTAL, "runs of handlers that ended in an error") \
	C(CALLS_WAITING, "handler_waiting", GAUGE, "runs of handlers that wait for a database connection now") \
	C(CALLS_DROPPED, "handler_queue_full", TOTAL, "events refused because too many waited") \
	C(DISCONNECTS_LOST, "handler_disconnects_lost", TOTAL, "on_disconnect handlers that did not run, or nobody knows: no database") \
	C(MARKERS_MISSED, "handler_markers_missed", TOTAL, "events answered before what they emitted, which did not come in time") \
	C(RELAYED, "relayed", TOTAL, "room:emit events passed on") \
	C(ABSENT, "absent", GAUGE, "sockets that are away and may come back now") \
	C(HISTORY_BYTES, "history_bytes", GAUGE, "bytes of messages kept for them now") \
	C(RECOVERED, "recovered", TOTAL, "sockets that came back and got what they missed") \
	C(RECOVERY_UNKNOWN_PID, "recovery_refused_unknown_pid", TOTAL, "sockets that came back and were not recovered: never heard of") \
	C(RECOVERY_IDENTITY, "recovery_refused_identity", TOTAL, "sockets that came back and were not recovered: another user, tenant or namespace") \
	C(RECOVERY_WINDOW, "recovery_refused_window", TOTAL, "sockets that came back and were not recovered: too late") \
	C(RECOVERY_GAP, "recovery_refused_gap", TOTAL, "sockets that came back and were not recovered: not all that they missed is known") \
	C(FOLLOWS_GAP, "follow_refused_gap", TOTAL, "room:join with a since of which not all is known") \
	C(HISTORY_FRAMES_SCANNED, "history_frames_scanned", TOTAL, "messages looked at for them")

#define WORKER_COUNTERS(C) \
	C(BUS_TRANSACTIONS, "bus_transactions", TOTAL, "committed transactions with messages") \
	C(BUS_MESSAGES, "bus_messages", TOTAL, "messages handed to the gateway") \
	C(BUS_HISTORY_MESSAGES, "bus_history_messages", TOTAL, "messages handed to a new gateway for its history") \
	C(BUS_GATED, "bus_gated", TOTAL, "commits that had to wait for their visibility") \
	C(BUS_GATE_BLOCKED, "bus_gate_blocked", TOTAL, "commits that had to wait for more than 5 s") \
	C(BUS_GAPS, "bus_gaps", TOTAL, "times that WAL was gone before it was read, or messages were lost otherwise") \
	C(BUS_POSITION, "bus_position", GAUGE, "WAL position that was read up to, as a number of bytes") \
	C(BUS_LAG, "bus_lag_bytes", GAUGE, "WAL written (standby: replayed) and not read yet, as of the last second") \
	C(BUS_SPILLED_BYTES, "bus_spilled_bytes", GAUGE, "bytes of open transactions in the temporary file now") \
	C(GATEWAY_STARTS, "gateway_starts", TOTAL, "gateways that were started; one more than it was restarted")

#define C(id, name, kind, text) COUNTER_##id,
typedef enum GatewayCounter
{
	GATEWAY_COUNTERS(C)
	GATEWAY_COUNTER_COUNT
} GatewayCounter;

typedef enum WorkerCounter
{
	WORKER_COUNTERS(C)
	WORKER_COUNTER_COUNT
} WorkerCounter;
#undef C

#endif							/* ROOMS_WIRE_COUNTERS_H */
