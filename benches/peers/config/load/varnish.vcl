# Varnish made fast: as a cache of group lists, and as a plain proxy in front of all else. How many threads it
# has, and what it writes into its log in memory, is said where it is started.
vcl 4.1;

backend toggl {
    .host = "127.0.0.1";
    .port = "@UPSTREAM_PORT@";
}

sub vcl_recv {
    if (req.method != "GET" || req.url !~ "^/api/v9/organizations/\d+/groups$") {
        return (pass);
    }
    # Past what is built in, which passes all that has a credential.
    return (hash);
}

sub vcl_hash {
    hash_data(req.url);
    hash_data(req.http.Authorization);
    return (lookup);
}

sub vcl_backend_response {
    if (bereq.uncacheable || beresp.status != 200) {
        return (deliver);
    }
    # Toggl says no-store of everything.
    set beresp.ttl = 1h;
    # `true` where gzip is measured: compressed once, when it is fetched.
    set beresp.do_gzip = @GZIP@;
    return (deliver);
}
