"""The origin and the proxies: their configurations, each with the same duties and all limits on keep-alive lifted."""

import dataclasses
import json
import os
import pwd
import subprocess

from load import BIG, HOST, host_names
from process import Process

OPTIONAL = {"envoy": "WAYPOST_BENCH_ENVOY", "pingora": "WAYPOST_BENCH_PINGORA"}
"""Proxies that are measured too where a variable names their program."""

# What waypost's two ends agree on; the peers are told to do the same.
TLS_CIPHER = "TLS_AES_256_GCM_SHA384"
CONNECTIONS = 18_000  # that a process may have; machines that allow fewer open files refuse the largest loads


@dataclasses.dataclass(frozen=True)
class Hop:
    """One proxy process between a port to listen on and a port to forward to."""

    listen: int
    forward: int
    http2_in: bool = False
    http2_out: bool = False
    tls_in: bool = False
    tls_out: bool = False
    hosts: int = 1
    """Names that it serves, all with the same endpoints."""
    services: bool = False
    """Whether each name is a service of its own (waypost only)."""
    endpoints: int = 1
    """Addresses behind the name (waypost and HAProxy); all of them are the origin's."""
    workers: int = 1
    spread: bool = False
    """Whether it may use the cores of the load too (waypost only)."""
    without: tuple = ()
    """Features that are switched off (waypost only): keys of FEATURES."""

    def addresses(self):
        if self.endpoints == 1:
            return [f"127.0.0.1:{self.forward}"]
        return [f"127.0.{1 + n // 250}.{1 + n % 250}:{self.forward}" for n in range(self.endpoints)]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where processes run, and where their files are."""

    directory: object
    cores: frozenset
    load_cores: frozenset
    waypost: str

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


@dataclasses.dataclass(frozen=True)
class OriginPorts:
    """Where the origin listens: by protocol, for each address of 127.0.0.0/8, and for questions about its counters."""

    http1: int
    http2: int
    tls: int
    wide: int
    status: int

    def for_hop(self, *, http2_out, tls_out, endpoints):
        if tls_out:
            return self.tls
        if http2_out:
            return self.http2
        return self.http1 if endpoints == 1 else self.wide


def origin(place, ports):
    """nginx that answers 1 KiB with five header fields, or 10 MiB, and reads what it is sent."""
    # It writes to the client while the other core's proxy reads: from memory, not from a disk.
    big = place.directory / "big"
    big.mkdir(exist_ok=True)
    (big / "down").write_bytes(b"x" * BIG)
    locations = f"""
        default_type text/plain;
        client_max_body_size 0;
        client_body_buffer_size {BIG + 1024 * 1024};
        location / {{ return 200 "{"x" * 1024}"; }}
        location /down {{ root {big}; }}
        location /up {{ echo_read_request_body; echo read; }}"""
    certificate = f"ssl_certificate {place.directory}/certs/{HOST}.pem; ssl_certificate_key {place.directory}/certs/{HOST}.key;"
    config = nginx_config(
        place,
        "origin",
        f"""
    sendfile on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {TLS_CIPHER};
    server {{ listen 127.0.0.1:{ports.http1} backlog=4096; {locations} }}
    server {{ listen 127.0.0.1:{ports.http2} http2 backlog=4096; {locations} }}
    server {{ listen 127.0.0.1:{ports.tls} ssl backlog=4096; {certificate} {locations} }}
    server {{ listen {ports.wide} backlog=4096; allow 127.0.0.0/8; deny all; {locations} }}
    server {{
        listen 127.0.0.1:{ports.status};
        location / {{ stub_status; }}
    }}""",
        modules="load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;",
    )
    return nginx_process(place, "origin", config)


def nginx(place, name, hop):
    tls_in = f"ssl_certificate {place.directory}/certs/{HOST}.pem; ssl_certificate_key {place.directory}/certs/{HOST}.key;"
    tls_out = f"""
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_conf_command Ciphersuites {TLS_CIPHER};
            proxy_ssl_session_reuse off;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {place.directory}/certs/ca.pem;
            proxy_ssl_name {HOST};
            proxy_ssl_server_name on;"""
    target, table = "target", ""
    if hop.hosts > 1:
        entries = place.file(f"{name}.map", "".join(f"{host} target;\n" for host in host_names(hop.hosts)))
        table = f"map_hash_bucket_size 128; map_hash_max_size 32768; map $host $to {{ include {entries}; }}"
        target = "$to"
    config = nginx_config(
        place,
        name,
        f"""
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {TLS_CIPHER};
    ssl_session_cache off;
    ssl_session_tickets off;
    upstream target {{
        server 127.0.0.1:{hop.forward};
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    {table}
    server {{
        listen 127.0.0.1:{hop.listen}{" http2" if hop.http2_in else ""}{" ssl" if hop.tls_in else ""} backlog=4096;
        {tls_in if hop.tls_in else ""}
        client_max_body_size 0;
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
        location / {{
            proxy_pass {"https" if hop.tls_out else "http"}://{target};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;{tls_out if hop.tls_out else ""}
        }}
    }}""",
    )
    return nginx_process(place, name, config)


def nginx_config(place, name, servers, modules=""):
    temporary = "".join(
        f"    {kind}_temp_path {place.directory}/{name}-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    return place.file(
        f"{name}.conf",
        f"""{user}
{modules}
worker_processes 1;
daemon off;
pid {place.directory}/{name}.pid;
error_log stderr crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
{temporary}
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
{servers}
}}
""",
    )


def nginx_process(place, name, config):
    command = ["nginx", "-e", "stderr", "-p", str(place.directory), "-c", str(config)]
    return Process(name, command, place.cores, place.directory / f"{name}.log")


def haproxy(place, name, hop):
    certs = place.directory / "certs"
    # HAProxy wants the chain and the key in one file.
    both = place.file("haproxy.pem", "".join((certs / f"{HOST}{end}").read_text() for end in (".pem", ".key")))
    bind = ""
    if hop.tls_in:
        bind = f" ssl crt {both} alpn h2,http/1.1 ssl-min-ver TLSv1.3 no-tls-tickets"
    elif hop.http2_in:
        bind = " proto h2"
    # Idle connections are kept, as by the others.
    server = " pool-purge-delay 1h" + (" proto h2" if hop.http2_out else "")
    if hop.tls_out:
        server += f" ssl verify required ca-file {certs}/ca.pem verifyhost {HOST} sni str({HOST})"
        server += f"{' alpn h2' if hop.http2_out else ''} ssl-min-ver TLSv1.3 no-ssl-reuse"
    choose = "default_backend target"
    if hop.hosts > 1:
        entries = place.file(f"{name}.map", "".join(f"{host} target\n" for host in host_names(hop.hosts)))
        choose = f"use_backend %[req.hdr(host),map_str({entries})]"
    servers = "".join(f"    server s{n} {address}{server}\n" for n, address in enumerate(hop.addresses()))
    config = place.file(
        f"{name}.cfg",
        f"""global
    nbthread 1
    maxconn {CONNECTIONS // 2}
    tune.ssl.cachesize 0
    ssl-default-bind-ciphersuites {TLS_CIPHER}
    ssl-default-server-ciphersuites {TLS_CIPHER}
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 10s
    http-reuse always
frontend in
    bind 127.0.0.1:{hop.listen} backlog 4096{bind}
    {choose}
backend target
{servers}""",
    )
    return Process(name, ["haproxy", "-db", "-q", "-f", str(config)], place.cores, place.directory / f"{name}.log")


def waypost(place, name, hop, under=()):
    """`under` is a command that runs it, such as valgrind."""
    certs = place.directory / "certs"
    server_tls = f"""
[routers.servers.tls]
cert = "{certs}/{HOST}.pem"
key = "{certs}/{HOST}.key"
"""
    client_tls = f"""
[routers.client.tls]
kind = "static"
common_name = "{HOST}"
trust = ["{certs}/ca.pem"]
protocols = ["1.3"]
"""
    names = host_names(hop.hosts)
    dtab, services = "/svc => /#/static ;", [HOST]
    if hop.services:
        services = names
    elif hop.hosts > 1:
        dtab = "".join(f"/svc/{host} => /#/static/{HOST} ;\n" for host in names)
    addresses = json.dumps(hop.addresses())
    protocol = "http1"
    if hop.http2_out:
        # Behind TLS it is found by ALPN, which is what waypost does when it is told nothing.
        protocol = "auto" if hop.tls_out else "http2"
    off = {key: "\n".join(FEATURES[each][1] for each in hop.without if FEATURES[each][0] == key) for key in SECTIONS}
    timeout = "" if "total_timeout" in hop.without else 'total_timeout = "10s"'
    config = place.file(
        f"{name}.toml",
        f"""workers = {hop.workers}

[admin]
port = 0

[shutdown]
grace = "1s"

[[namers]]
kind = "static"
[namers.services]
{"".join(f'"{service}" = {addresses}' + chr(10) for service in services)}
[[routers]]
label = "bench"
identifier = {{ kind = "header.token", header = "host" }}
dtab = '''{dtab}'''

[[routers.servers]]
port = {hop.listen}
max_connections = {CONNECTIONS}
idle_timeout = "1h"
{off["server"]}
{server_tls if hop.tls_in else ""}
[routers.service]
{timeout}
{off["service"]}

[routers.client]
connect_timeout = "1s"
protocol = "{protocol}"
{off["client"]}
{client_tls if hop.tls_out else ""}""",
    )
    cores = place.cores | place.load_cores if hop.spread else place.cores
    return Process(name, [*under, place.waypost, "run", str(config)], cores, place.directory / f"{name}.log")



SECTIONS = ("server", "service", "client")
# What waypost does unless it is told not to: where that is said, and how.
FEATURES = {
    "total_timeout": ("service", ""),
    "retries": ("service", "retries = { max_attempts = 1 }"),
    "body_timeout": ("server", 'body_timeout = "none"'),
    "write_timeout": ("server", 'write_timeout = "none"'),
    "upgrades": ("server", "upgrades = []"),
    "accrual": ("client", 'accrual = "none"'),
    "ewma": ("client", 'balancer = "p2c"'),
    "context": ("client", "strip_context = true"),
}


def envoy(place, name, hop):
    certs = place.directory / "certs"
    pair = [{"certificate_chain": {"filename": f"{certs}/{HOST}.pem"}, "private_key": {"filename": f"{certs}/{HOST}.key"}}]
    tls13 = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    down = {"tls_params": tls13, "tls_certificates": pair, "alpn_protocols": ["h2", "http/1.1"]}
    names = [{"san_type": "DNS", "matcher": {"exact": HOST}}]
    verified = {"trusted_ca": {"filename": f"{certs}/ca.pem"}, "match_typed_subject_alt_names": names}
    up = {"tls_params": tls13, "validation_context": verified, "alpn_protocols": ["h2"] if hop.http2_out else []}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "target", "timeout": "10s"}}]
    hosts = [{"name": "all", "domains": host_names(hop.hosts), "routes": routes}]
    filters = [{"name": "envoy.filters.http.router", "typed_config": {"@type": envoy_type("filters.http.router.v3.Router")}}]
    manager = {
        "@type": envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": filters,
        "codec_type": "AUTO",
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if hop.tls_in:
        chain["transport_socket"] = envoy_tls("DownstreamTlsContext", {"common_tls_context": down, "disable_stateless_session_resumption": True})
    inner = {"explicit_http_config": {"http2_protocol_options" if hop.http2_out else "http_protocol_options": {}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    lots = [{"max_connections": CONNECTIONS, "max_pending_requests": CONNECTIONS, "max_requests": CONNECTIONS}]
    cluster = {
        "name": "target",
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": lots},
        "load_assignment": {
            "cluster_name": "target",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": envoy_address(hop.forward)}}]}],
        },
        "typed_extension_protocol_options": {options: {"@type": f"type.googleapis.com/{options}", **inner}},
    }
    if hop.tls_out:
        cluster["transport_socket"] = envoy_tls("UpstreamTlsContext", {"common_tls_context": up, "sni": HOST, "max_session_keys": 0})
    listener = {"name": "in", "address": envoy_address(hop.listen), "filter_chains": [chain]}
    config = place.file(f"{name}.json", json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    command = [os.environ[OPTIONAL["envoy"]], "-c", str(config), "--concurrency", "1", "-l", "error"]
    command += ["--disable-hot-restart"]
    return Process(name, command, place.cores, place.directory / f"{name}.log")


def envoy_type(of):
    return f"type.googleapis.com/envoy.extensions.{of}"


def envoy_tls(context, settings):
    typed = {"@type": envoy_type(f"transport_sockets.tls.v3.{context}"), **settings}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def envoy_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def pingora(place, name, hop):
    """The pass-through in bench/pingora, for HTTP/1.1 in the clear."""
    command = [os.environ[OPTIONAL["pingora"]], str(hop.listen), str(hop.forward)]
    return Process(name, command, place.cores, place.directory / f"{name}.log")


STARTERS = {"waypost": waypost, "haproxy": haproxy, "nginx": nginx}
STARTERS |= {each.__name__: each for each in (envoy, pingora) if os.environ.get(OPTIONAL[each.__name__])}


def mint(place):
    """A CA and one ECDSA P-256 leaf for the inner hop of pairs, in `certs` of the directory."""
    certs = str(place.directory / "certs")
    for arguments in (["init", certs], ["issue", certs, HOST]):
        subprocess.run([place.waypost, "certs", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=30)


def versions(waypost_binary):
    """What was measured, as the programs name themselves."""
    first = {
        "waypost": said([waypost_binary, "--version"]).split()[-1],
        "HAProxy": said(["haproxy", "-v"]).split()[2],
        "nginx": said(["nginx", "-v"]).rpartition("/")[2].split()[0],
        "wrk": said(["wrk", "-v"]).split()[1].rpartition("/")[2],
        "h2load": said(["h2load", "--version"]).rpartition("/")[2].split()[0],
    }
    if "envoy" in STARTERS:
        first["Envoy"] = said([os.environ[OPTIONAL["envoy"]], "--version"]).rpartition("version: ")[2].split("/")[1]
    return ", ".join(f"{name} {version}" for name, version in first.items())


def said(command):
    # Some of them print their version to stderr, or end with 1 after it.
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
    return ended.stdout.strip().splitlines()[0]
