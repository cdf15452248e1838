import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

/** What Confluent Cloud documents of the topics that may be made there. */
public class ConfluentLimits implements CreateTopicPolicy {
    private static final Set<String> SETTABLE = Set.of(
        "cleanup.policy", "delete.retention.ms", "max.compaction.lag.ms", "max.message.bytes",
        "message.timestamp.type", "min.compaction.lag.ms", "min.insync.replicas",
        "retention.bytes", "retention.ms", "segment.bytes", "segment.ms");

    @Override
    public void validate(RequestMetadata topic) {
        Map<String, String> configs = topic.configs();
        require(topic.replicationFactor() == 3, "Topic replication factor must be 3");
        for (String name : configs.keySet()) {
            require(SETTABLE.contains(name), "Altering topic config property " + name);
        }
        require(number(configs, "segment.bytes", 52428800) >= 52428800, "segment.bytes too small");
        long copies = number(configs, "min.insync.replicas", 2);
        require(copies == 1 || copies == 2, "min.insync.replicas must be 1 or 2");
    }

    private static long number(Map<String, String> configs, String name, long otherwise) {
        return Long.parseLong(configs.getOrDefault(name, Long.toString(otherwise)));
    }

    private static void require(boolean holds, String words) {
        if (!holds) {
            throw new PolicyViolationException(words);
        }
    }

    @Override
    public void configure(Map<String, ?> configs) {
    }

    @Override
    public void close() {
    }
}
