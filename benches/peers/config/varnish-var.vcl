# Varnish as in varnish.vcl, but for the bans. In their place the rule that makes a read see the change,
# written with a global variable of the package varnish-modules: before a change is answered, all lists get
# another hash, so that what was fetched before then, or is under way, is found by nobody who comes later.
# After a change without an outcome they pass by the cache for a while. For one organization, as most have.
vcl 4.1;

import std;
import var;

backend toggl {
    .host = "127.0.0.1";
    .port = "@UPSTREAM_PORT@";
    .first_byte_timeout = @TIMEOUT@;
}

sub vcl_recv {
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    if (req.url !~ "^/api/v9/(organizations/\d+/(workspaces/\d+/)?groups|workspaces/\d+/(groups|project_groups))(\?|$)") {
        return (pass);
    }
    # Nobody is answered from the cache without a credential.
    if (!req.http.Authorization && !req.http.Cookie) {
        return (pass);
    }
    if (std.time(var.global_get("doubt"), now - 1s) > now) {
        return (pass);
    }
    return (hash);
}

sub vcl_hash {
    hash_data(req.url);
    hash_data("authorization " + req.http.Authorization);
    hash_data("cookie " + req.http.Cookie);
    hash_data("epoch " + var.global_get("epoch"));
    return (lookup);
}

sub vcl_backend_response {
    if (bereq.uncacheable) {
        return (deliver);
    }
    if (beresp.status != 200) {
        # An old list is better than an error that comes in the background.
        if (bereq.is_bgfetch && beresp.status >= 500) {
            return (abandon);
        }
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        return (deliver);
    }
    # Toggl says no-store of everything, and a balancer sets its cookie.
    set beresp.ttl = @TTL@;
    set beresp.grace = @STALE@;
    # What belongs to one answer alone must not be told again.
    unset beresp.http.Set-Cookie;
    unset beresp.http.X-Request-Id;
    unset beresp.http.X-Toggl-Request-Id;
    unset beresp.http.X-Toggl-Quota-Remaining;
    unset beresp.http.X-Toggl-Quota-Resets-In;
    return (deliver);
}

sub vcl_deliver {
    # One that upstream refused changed nothing.
    if (req.method != "GET" && req.method != "HEAD" && req.method != "OPTIONS" &&
        (resp.status < 400 || resp.status >= 500)) {
        if (resp.status >= 500) {
            # As long as upstream may still apply it.
            var.global_set("doubt", now + @GRACE@s);
        }
        # No two requests have the same number.
        var.global_set("epoch", req.xid);
    }
    return (deliver);
}
