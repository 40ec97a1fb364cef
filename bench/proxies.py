"""The origin and the proxies: their configurations, each with the same duties and all limits on keep-alive lifted."""

import dataclasses
import os
import pwd
import subprocess

from load import HOST
from process import Process

# What waypost's two ends agree on; the peers are told to do the same.
TLS_CIPHER = "TLS_AES_256_GCM_SHA384"


@dataclasses.dataclass(frozen=True)
class Hop:
    """One proxy process between a port to listen on and a port to forward to."""

    listen: int
    forward: int
    http2_in: bool = False
    tls_in: bool = False
    tls_out: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where processes run, and where their files are."""

    directory: object
    cores: frozenset
    waypost: str

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


def origin(place, port, status_port):
    """nginx that answers 1 KiB with five header fields; `status_port` tells how many requests came."""
    config = nginx_config(
        place,
        "origin",
        f"""
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "{"x" * 1024}"; }}
    }}
    server {{
        listen 127.0.0.1:{status_port};
        location / {{ stub_status; }}
    }}""",
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
    server {{
        listen 127.0.0.1:{hop.listen}{" http2" if hop.http2_in else ""}{" ssl" if hop.tls_in else ""} backlog=4096;
        {tls_in if hop.tls_in else ""}
        location / {{
            proxy_pass {"https" if hop.tls_out else "http"}://target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;{tls_out if hop.tls_out else ""}
        }}
    }}""",
    )
    return nginx_process(place, name, config)


def nginx_config(place, name, servers):
    temporary = "".join(
        f"    {kind}_temp_path {place.directory}/{name}-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    return place.file(
        f"{name}.conf",
        f"""{user}
worker_processes 1;
daemon off;
pid {place.directory}/{name}.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
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
    server = ""
    if hop.tls_out:
        server = (
            f" ssl verify required ca-file {certs}/ca.pem verifyhost {HOST} sni str({HOST})"
            " alpn h2 proto h2 ssl-min-ver TLSv1.3 no-ssl-reuse"
        )
    config = place.file(
        f"{name}.cfg",
        f"""global
    nbthread 1
    maxconn 8192
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
    default_backend target
backend target
    server one 127.0.0.1:{hop.forward}{server}
""",
    )
    return Process(name, ["haproxy", "-db", "-q", "-f", str(config)], place.cores, place.directory / f"{name}.log")


def waypost(place, name, hop):
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
    config = place.file(
        f"{name}.toml",
        f"""workers = 1

[admin]
port = 0

[shutdown]
grace = "1s"

[[namers]]
kind = "static"
[namers.services]
"{HOST}" = ["127.0.0.1:{hop.forward}"]

[[routers]]
label = "bench"
identifier = {{ kind = "header.token", header = "host" }}
dtab = "/svc => /#/static ;"

[[routers.servers]]
port = {hop.listen}
{server_tls if hop.tls_in else ""}
[routers.service]
total_timeout = "10s"

[routers.client]
connect_timeout = "1s"
protocol = "{"auto" if hop.tls_out else "http1"}"
{client_tls if hop.tls_out else ""}""",
    )
    return Process(name, [place.waypost, "run", str(config)], place.cores, place.directory / f"{name}.log")


STARTERS = {"waypost": waypost, "haproxy": haproxy, "nginx": nginx}


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
    return ", ".join(f"{name} {version}" for name, version in first.items())


def said(command):
    # Some of them print their version to stderr, or end with 1 after it.
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
    return ended.stdout.splitlines()[0]
