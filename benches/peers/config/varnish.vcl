# Varnish as a cache of Toggl's group lists, which bans an organization's lists when it was changed.
vcl 4.1;

backend toggl {
    .host = "127.0.0.1";
    .port = "@UPSTREAM_PORT@";
    .first_byte_timeout = @TIMEOUT@;
}

# What a change touches: its organization's lists, and those of workspaces, of which nobody tells whose
# they are. A change in a workspace touches all.
sub touch {
    if (req.url ~ "^/api/v9/organizations/\d+/") {
        ban("obj.http.X-Organization == " +
            regsub(req.url, "^/api/v9/organizations/(\d+)/.*", "\1"));
        ban("obj.http.X-Organization == none");
    } else {
        ban("obj.http.X-Organization ~ .");
    }
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
    return (hash);
}

sub vcl_hash {
    hash_data(req.url);
    hash_data("authorization " + req.http.Authorization);
    hash_data("cookie " + req.http.Cookie);
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
    # For `touch`.
    set beresp.http.X-Organization = "none";
    if (bereq.url ~ "^/api/v9/organizations/\d+/") {
        set beresp.http.X-Organization = regsub(bereq.url, "^/api/v9/organizations/(\d+)/.*", "\1");
    }
    # What belongs to one answer alone must not be told again.
    unset beresp.http.Set-Cookie;
    unset beresp.http.X-Request-Id;
    unset beresp.http.X-Toggl-Request-Id;
    unset beresp.http.X-Toggl-Quota-Remaining;
    unset beresp.http.X-Toggl-Quota-Resets-In;
    return (deliver);
}

sub vcl_deliver {
    # Before the change is answered; one that upstream refused touches nothing.
    if (req.method != "GET" && req.method != "HEAD" && req.method != "OPTIONS" &&
        (resp.status < 400 || resp.status >= 500)) {
        call touch;
    }
    unset resp.http.X-Organization;
    return (deliver);
}
