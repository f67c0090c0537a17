package iam

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

func keyOperations() map[string]operation {
	return map[string]operation{
		"CreateAccessKey": {false, "user", (*Store).createAccessKey},
		"ListAccessKeys":  {true, "user", (*Store).listAccessKeys},
		"UpdateAccessKey": {false, "user", (*Store).updateAccessKey},
		"DeleteAccessKey": {false, "user", (*Store).deleteAccessKey},

		"CreateServiceSpecificCredential": {false, "user", (*Store).createCredential},
		"ListServiceSpecificCredentials":  {true, "user", (*Store).listCredentials},
		"UpdateServiceSpecificCredential": {false, "user", (*Store).updateCredential},
		"DeleteServiceSpecificCredential": {false, "user", (*Store).deleteCredential},
	}
}

// keysOf returns the ids of a user's access keys. Callers hold s.mu.
func (s *Store) keysOf(u *entity) []string {
	var ids []string
	for id, k := range s.keys {
		if k.User == u.Name {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *Store) createAccessKey(q *query) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	if len(s.keysOf(u)) >= 2 {
		return nil, conflict("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	}
	k := &accessKey{ID: s.keyID("AKIA"), Secret: newSecret(), User: u.Name, Status: active, Created: q.Time.Truncate(time.Second)}
	if err := s.putKey(k); err != nil {
		return nil, err
	}
	return fields{{"AccessKey", fields{
		{"UserName", k.User}, {"AccessKeyId", k.ID}, {"Status", k.Status}, {"SecretAccessKey", secret(k.Secret)}, {"CreateDate", k.Created},
	}}}, nil
}

func (s *Store) putKey(k *accessKey) error {
	return s.change(func(tx *state.Tx) error { return tx.Put(bucketKeys, k.ID, k) }, func() { s.keys[k.ID] = k })
}

func (s *Store) listAccessKeys(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q.get("UserName") == "" && q.Caller.Kind == awsapi.Root {
		k := fields{{"AccessKeyId", s.root.AccessKeyID}, {"Status", active}, {"CreateDate", s.root.Created}}
		return fields{{"AccessKeyMetadata", list{k}}, {"IsTruncated", false}}, nil
	}
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	ids, more, err := page(q.v, s.keysOf(u))
	l := list{}
	for _, id := range ids {
		k := s.keys[id]
		l = append(l, fields{{"UserName", k.User}, {"AccessKeyId", k.ID}, {"Status", k.Status}, {"CreateDate", k.Created}})
	}
	return append(fields{{"AccessKeyMetadata", l}}, more...), err
}

// accessKey returns the access key that a call names. Callers hold s.mu.
func (s *Store) accessKey(q *query) (*accessKey, error) {
	id, err := q.need("AccessKeyId")
	if err != nil {
		return nil, err
	}
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	if k := s.keys[id]; k != nil && k.User == u.Name {
		return k, nil
	}
	return nil, noSuch("The Access Key with id %s cannot be found.", id)
}

// status returns the parameter Status.
func (q *query) status() (string, error) {
	v, err := q.need("Status")
	if err == nil && v != active && v != inactive {
		err = validation("1 validation error detected: Value '%s' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]", v)
	}
	return v, err
}

func (s *Store) updateAccessKey(q *query) (fields, error) {
	status, err := q.status()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.accessKey(q)
	if err != nil {
		return nil, err
	}
	changed := *k
	changed.Status = status
	return nil, s.putKey(&changed)
}

func (s *Store) deleteAccessKey(q *query) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.accessKey(q)
	if err != nil {
		return nil, err
	}
	return nil, s.change(func(tx *state.Tx) error { return tx.Delete(bucketKeys, k.ID) }, func() { delete(s.keys, k.ID) })
}

// credentialsOf returns the ids of a user's service-specific credentials, or of all for "". Callers hold s.mu.
func (s *Store) credentialsOf(user string) []string {
	var ids []string
	for id, c := range s.credentials {
		if user == "" || c.User == user {
			ids = append(ids, id)
		}
	}
	return ids
}

// bedrock is the one service that has service-specific credentials here.
const bedrock = "bedrock.amazonaws.com"

// createCredential makes a long-term Bedrock API key: "ABSK" and the base64 of the credential's alias, a colon and a
// random text.
func (s *Store) createCredential(q *query) (fields, error) {
	service, err := q.need("ServiceName")
	if err != nil {
		return nil, err
	}
	if service != bedrock {
		return nil, &awsapi.Error{Code: "NotSupportedService", Message: "The specified service " + service + " is not supported.", Status: 404}
	}
	name, err := q.need("UserName")
	if err != nil {
		return nil, err
	}
	c := &credential{ID: newID("ACCA"), Service: service, Status: active, Created: q.Time.Truncate(time.Second)}
	if days := q.get("CredentialAgeDays"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 36600 {
			return nil, validation("1 validation error detected: Value '%s' at 'credentialAgeDays' failed to satisfy constraint: Member must have value between 1 and 36600", days)
		}
		c.Expires = c.Created.AddDate(0, 0, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(q, name)
	if err != nil {
		return nil, err
	}
	if len(s.credentialsOf(u.Name)) >= 2 {
		return nil, conflict("LimitExceeded", "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2")
	}
	c.User, c.Alias = u.Name, s.alias(u)
	key := longTermKey + base64.StdEncoding.EncodeToString([]byte(c.Alias+":"+newSecret()))
	c.Hash = hashOf(key)
	if err := s.putCredential(c); err != nil {
		return nil, err
	}
	f := append(c.fields(), field{"ServiceCredentialSecret", secret(key)})
	return fields{{"ServiceSpecificCredential", f}}, nil
}

// alias returns the public part of a user's next credential: "ci-at-111122223333", then "ci+1-at-111122223333".
func (s *Store) alias(u *entity) string {
	for n := 0; ; n++ {
		alias := u.Name
		if n > 0 {
			alias += "+" + strconv.Itoa(n)
		}
		alias += "-at-" + s.account
		taken := func(id string) bool { return s.credentials[id].Alias == alias }
		if !slices.ContainsFunc(s.credentialsOf(u.Name), taken) {
			return alias
		}
	}
}

// fields is a credential as IAM shows it.
func (c *credential) fields() fields {
	f := fields{
		{"UserName", c.User}, {"Status", c.Status}, {"ServiceCredentialAlias", c.Alias}, {"CreateDate", c.Created},
		{"ServiceSpecificCredentialId", c.ID}, {"ServiceName", c.Service},
	}
	if !c.Expires.IsZero() {
		f = append(f, field{"ExpirationDate", c.Expires})
	}
	return f
}

func (s *Store) putCredential(c *credential) error {
	return s.change(func(tx *state.Tx) error { return tx.Put(bucketCredentials, c.ID, c) }, func() {
		s.credentials[c.ID] = c
		s.byHash[c.Hash] = c
	})
}

func (s *Store) listCredentials(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	user := ""
	if all, _ := strconv.ParseBool(q.get("AllUsers")); !all {
		u, err := s.user(q, q.get("UserName"))
		if err != nil {
			return nil, err
		}
		user = u.Name
	}
	ids, more, err := page(q.v, s.credentialsOf(user))
	l := list{}
	for _, id := range ids {
		c := *s.credentials[id]
		if c.expired(s.now()) {
			c.Status = "Expired"
		}
		if service := q.get("ServiceName"); service == "" || service == c.Service {
			l = append(l, c.fields())
		}
	}
	return append(fields{{"ServiceSpecificCredentials", l}}, more...), err
}

// serviceCredential returns the credential that a call names. Callers hold s.mu.
func (s *Store) serviceCredential(q *query) (*credential, error) {
	id, err := q.need("ServiceSpecificCredentialId")
	if err != nil {
		return nil, err
	}
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	if c := s.credentials[id]; c != nil && c.User == u.Name {
		return c, nil
	}
	return nil, noSuch("No such credential %s exists", id)
}

func (s *Store) updateCredential(q *query) (fields, error) {
	status, err := q.status()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.serviceCredential(q)
	if err != nil {
		return nil, err
	}
	changed := *c
	changed.Status = status
	return nil, s.putCredential(&changed)
}

func (s *Store) deleteCredential(q *query) (fields, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.serviceCredential(q)
	if err != nil {
		return nil, err
	}
	return nil, s.change(func(tx *state.Tx) error { return tx.Delete(bucketCredentials, c.ID) }, func() {
		delete(s.credentials, c.ID)
		delete(s.byHash, c.Hash)
	})
}
