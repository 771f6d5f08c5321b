/* The platform's own transport and poller keep the contract that ports must keep. */

#include "smartcache.h"

#include "port_conformance.h"

int main(void)
{
    port_transport_subject transport;
    port_poller_subject poller;
    int failures;
    memset(&transport, 0, sizeof(transport));
    memset(&poller, 0, sizeof(poller));
    if (!sc_platform_transport(&transport.transport) || !sc_platform_poller(&transport.poller))
        return 1;
    transport.name = "the platform's transport";
    transport.has_threads = true;
    transport.can_fork = true;
    transport.counts_descriptors = true;
    port_posix_peers(&transport);
    poller.name = "the platform's poller";
    poller.poller = transport.poller;
    poller.has_threads = true;
    poller.counts_descriptors = true;
    port_posix_pairs(&poller);
    failures = port_conformance_transport(&transport);
    failures += port_conformance_poller(&poller);
    return failures != 0;
}
