# Runs in a copy of this machine; ends with an error at the first thing that is not as it should be.
say() { echo "package: $*" >&2; }
waits() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; say "never: $*"; return 1; }
server_user="setpriv --reuid=rackhand --regid=rackhand --clear-groups --no-new-privs"
agent_user="setpriv --reuid=rackhand-agent --regid=rackhand-agent --clear-groups --no-new-privs"
answers() { python3 -c 'import urllib.request as r; r.urlopen("http://127.0.0.1:8080/readyz")'; }

dpkg --install /tmp/packages/*.deb >/dev/null
systemd-analyze verify /lib/systemd/system/rackhand.service /lib/systemd/system/rackhand-agent.service
for name in rackhand rackhand-agent; do
    [ "$(stat -c '%U %a' /var/lib/$name)" = "$name 700" ] || { say "/var/lib/$name is not $name's alone"; exit 1; }
    [ -L /etc/systemd/system/multi-user.target.wants/$name.service ] || { say "$name is not enabled"; exit 1; }
done

say "the server and an agent run as their users"
printf 'correct horse battery' > /tmp/password
$server_user rackhand user add --name ada --data-dir /var/lib/rackhand < /tmp/password >/dev/null
token=$($server_user rackhand token add --user ada --data-dir /var/lib/rackhand)
$server_user rackhand serve --data-dir /var/lib/rackhand 2>/tmp/rackhand.log & server=$!
waits answers
enrolment=$(TOKEN=$token python3 - <<'PYTHON'
import json, os, urllib.request as r
ask = r.Request("http://127.0.0.1:8080/api/v1/agents", json.dumps({"name": "site-a"}).encode(),
    {"authorization": "Bearer " + os.environ["TOKEN"], "content-type": "application/json"})
print(json.load(r.urlopen(ask))["token"])
PYTHON
)
# As root, as a person would; what it makes belongs to the agent's user.
rackhand-agent enroll --config /etc/rackhand/agent.toml --server http://127.0.0.1:8080 --token "$enrolment" >/dev/null
$agent_user rackhand-agent check --config /etc/rackhand/agent.toml >&2
$agent_user rackhand-agent run --config /etc/rackhand/agent.toml 2>/tmp/agent.log & agent=$!
waits grep -q '"connected"' /tmp/agent.log
kill -HUP $agent
waits grep -q 'configuration was read again' /tmp/agent.log
kill $agent $server
wait $agent
wait $server

say "an upgrade keeps what a person wrote, a purge what cannot be made again"
echo 'log = "debug"' >> /etc/rackhand/agent.toml
dpkg --install /tmp/packages/*.deb >/dev/null
grep -q '^log = "debug"' /etc/rackhand/agent.toml
dpkg --remove rackhand rackhand-agent >/dev/null
[ ! -e /usr/bin/rackhand ] && [ -e /etc/rackhand/agent.toml ] && [ -e /var/lib/rackhand-agent/agent.json ]
dpkg --purge rackhand rackhand-agent >/dev/null
[ ! -e /etc/rackhand ] && [ ! -e /var/lib/rackhand-agent ] && [ -e /var/lib/rackhand/master.key ]
