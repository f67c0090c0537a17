package ai

import "maps"

// rules is every operation the package serves, by "client.Operation".
func (b *backend) rules() map[string]*rule {
	all := map[string]*rule{}
	bedrock := b.bedrock()
	maps.Copy(bedrock, b.guardrailControl())
	for client, rules := range map[string]map[string]*rule{
		"bedrock": bedrock, "bedrock-runtime": b.runtime(),
	} {
		for name, r := range rules {
			all[client+"."+name] = r
		}
	}
	return all
}
