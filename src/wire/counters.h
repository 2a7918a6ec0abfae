/*
 * counters.h - the counters of rooms.stats, in one list.
 *
 * The gateway keeps its counters in an array indexed by GatewayCounter and
 * sends the whole array to the worker (LINK_STATS); the worker keeps its own
 * (WorkerCounter) and copies both to shared memory, where the view reads
 * them.  C(id, name, gauge): the name is the one in the view.
 */
#ifndef ROOMS_WIRE_COUNTERS_H
#define ROOMS_WIRE_COUNTERS_H

#define GATEWAY_COUNTERS(C) \
	C(CONNECTIONS, "connections")				/* Engine.IO sessions open now */ \
	C(SOCKETS, "sockets")						/* Socket.IO sockets connected now */ \
	C(ROOMS, "rooms")							/* rooms with at least one member now */ \
	C(QUEUED_BYTES, "queued_bytes")				/* bytes waiting in send queues now */ \
	C(HANDSHAKES, "handshakes")					/* Engine.IO sessions opened */ \
	C(CONNECTS, "connects")						/* Socket.IO CONNECTs accepted */ \
	C(MESSAGES, "messages")						/* messages that came over the bus */ \
	C(DELIVERIES, "deliveries")					/* message times recipients put in a queue */ \
	C(DROPPED_VOLATILE, "dropped_volatile")		/* volatile messages not queued */ \
	C(THROTTLED, "throttled")					/* throttled values replaced by a later one */ \
	C(THROTTLE_FULL, "throttle_full")			/* ... sent before their turn, as 64 MB were kept already */ \
	C(BYTES_OUT, "bytes_out")					/* bytes handed to transports */ \
	C(PACKETS_IN, "packets_in")					/* Engine.IO packets from clients */ \
	C(REFUSED_ORIGIN, "refused_origin") \
	C(REFUSED_AUTH, "refused_auth")				/* CONNECTs refused for want of a good token */ \
	C(REFUSED_AUTH_SIZE, "refused_auth_size")	/* ... with more than 4 kB beside the token */ \
	C(REFUSED_NAMESPACE, "refused_namespace") \
	C(REFUSED_MAX_CONNECTIONS, "refused_max_connections") \
	C(REFUSED_PER_USER, "refused_max_connections_per_user")	/* CONNECTs */ \
	C(REFUSED_PER_IP, "refused_max_connections_per_ip") \
	C(REFUSED_HANDSHAKES, "refused_max_handshakes_per_second") \
	C(REFUSED_PENDING, "refused_max_pending_handshakes") \
	C(REFUSED_DRAINING, "refused_draining")		/* handshakes after rooms.drain() */ \
	C(REFUSED_EVENTS, "refused_max_events_per_second") \
	C(REFUSED_BYTES, "refused_max_bytes_per_second") \
	C(REFUSED_ROOMS, "refused_max_rooms_per_socket") \
	C(REFUSED_NAMESPACES, "refused_max_namespaces_per_connection") \
	C(REFUSED_NAME, "refused_event_name")		/* longer than 255 bytes */ \
	C(REFUSED_ROOM_NAME, "refused_room_name") \
	C(REFUSED_PAYLOAD, "refused_max_payload")	/* POSTs */ \
	C(REFUSED_URL, "refused_url")				/* longer than 8 kB */ \
	C(REFUSED_HEADER, "refused_header")			/* longer than 16 kB */ \
	C(REQUEST_TIMEOUT, "refused_request_timeout") /* TLS handshakes, heads and bodies that took too long */ \
	C(REFUSED_REQUEST, "refused_request")		/* bad HTTP or Engine.IO requests */ \
	C(DISCONNECT_CLIENT, "disconnect_client")	/* sessions ended by the client */ \
	C(DISCONNECT_TRANSPORT, "disconnect_transport") \
	C(DISCONNECT_PING_TIMEOUT, "disconnect_ping_timeout") \
	C(DISCONNECT_PARSE_ERROR, "disconnect_parse_error") \
	C(DISCONNECT_FORCED, "disconnect_forced")	/* connect timeout, wrong state */ \
	C(DISCONNECT_SLOW, "disconnect_slow")		/* over max_queued */ \
	C(DISCONNECT_EXPIRED, "disconnect_expired")	/* the token expired, or its key was taken away */ \
	C(DISCONNECT_FLOOD, "disconnect_flood")		/* ten times max_events_per_second or max_bytes_per_second, 64 CONNECTs */ \
	C(DISCONNECT_TOO_LARGE, "disconnect_too_large")	/* a message over max_payload, attachments over four times that */ \
	C(DISCONNECT_SERVER, "disconnect_server")	/* by SQL or shutdown */ \
	C(CALLS, "handler_calls")					/* runs of SQL handlers, joins and connects included */ \
	C(CALLS_FAILED, "handler_errors")			/* ... that ended in an error */ \
	C(CALLS_WAITING, "handler_waiting")			/* ... that wait for a connection now */ \
	C(CALLS_DROPPED, "handler_queue_full")		/* events refused because too many waited */ \
	C(DISCONNECTS_LOST, "handler_disconnects_lost")	/* on_disconnect did not run, or nobody knows: no database */ \
	C(MARKERS_MISSED, "handler_markers_missed")	/* answered before what they emitted: it did not come in time */ \
	C(RELAYED, "relayed")						/* room:emit events passed on */ \
	C(ABSENT, "absent")							/* sockets that may come back now */ \
	C(HISTORY_BYTES, "history_bytes")			/* bytes of messages kept for them now */ \
	C(RECOVERED, "recovered")					/* sockets that came back and got what they missed */ \
	C(RECOVERY_UNKNOWN_PID, "recovery_refused_unknown_pid") /* ... that were not taken back: never heard of */ \
	C(RECOVERY_IDENTITY, "recovery_refused_identity")	/* other user, tenant or namespace */ \
	C(RECOVERY_WINDOW, "recovery_refused_window")		/* too late */ \
	C(RECOVERY_GAP, "recovery_refused_gap")		/* not all that they missed is known */ \
	C(FOLLOWS_GAP, "follow_refused_gap")		/* room:join with a since of which not all is known */ \
	C(HISTORY_FRAMES_SCANNED, "history_frames_scanned") /* messages looked at for them */

#define WORKER_COUNTERS(C) \
	C(BUS_TRANSACTIONS, "bus_transactions")		/* committed transactions with messages */ \
	C(BUS_MESSAGES, "bus_messages")				/* messages handed to the gateway */ \
	C(BUS_HISTORY_MESSAGES, "bus_history_messages")	/* ... again, for its history */ \
	C(BUS_GATED, "bus_gated")					/* commits that had to wait for visibility */ \
	C(BUS_GATE_BLOCKED, "bus_gate_blocked")		/* ... for more than 5 s */ \
	C(BUS_GAPS, "bus_gaps")						/* times that WAL was gone before it was read */ \
	C(BUS_POSITION, "bus_position")				/* WAL read up to here, as a number */ \
	C(BUS_SPILLED_BYTES, "bus_spilled_bytes")	/* bytes of open transactions in the temporary file now */ \
	C(GATEWAY_STARTS, "gateway_starts")

#define C(id, name) COUNTER_##id,
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
