package ai

import "strings"

// lexicon finds one of Polly's lexicons.
func (b *backend) lexicon(c *call, name string) (*resource, error) {
	r, err := b.get(c, lexicons, name)
	if err == nil && r == nil {
		err = fail("LexiconNotFoundException", 404, "Lexicon not found")
	}
	return r, err
}

func (b *backend) putLexicon(c *call) (obj, error) {
	name, content := text(c.in, "Name"), text(c.in, "Content")
	if !strings.Contains(content, "<lexicon") {
		return nil, fail("InvalidLexiconException", 400, "Lexicon content is not valid PLS")
	}
	r := &resource{ID: name, Name: name, ARN: c.arn("lexicon/" + name), Created: c.Time, Updated: c.Time, Config: obj{"Content": content}}
	return obj{}, b.State.Put(lexicons, c.Region+"/"+name, r)
}

func lexiconOutput(r *resource) obj {
	content := text(r.Config, "Content")
	language := "en-US"
	if _, after, ok := strings.Cut(content, `xml:lang="`); ok {
		language, _, _ = strings.Cut(after, `"`)
	}
	return obj{
		"Alphabet": "ipa", "LanguageCode": language, "LastModified": r.Updated, "LexiconArn": r.ARN,
		"LexemesCount": strings.Count(content, "<lexeme>"), "Size": len(content),
	}
}

func (b *backend) getLexicon(c *call) (obj, error) {
	r, err := b.lexicon(c, text(c.in, "Name"))
	if err != nil {
		return nil, err
	}
	return obj{"Lexicon": obj{"Name": r.Name, "Content": text(r.Config, "Content")}, "LexiconAttributes": lexiconOutput(r)}, nil
}

func (b *backend) listLexicons(c *call) (obj, error) {
	all, err := b.all(c, lexicons, "")
	if err != nil {
		return nil, err
	}
	return paged(c, all, "Lexicons", "", "NextToken", func(r *resource) obj {
		return obj{"Name": r.Name, "Attributes": lexiconOutput(r)}
	}), nil
}

func (b *backend) deleteLexicon(c *call) (obj, error) {
	found, err := b.remove(c, lexicons, text(c.in, "Name"))
	if err == nil && !found {
		err = fail("LexiconNotFoundException", 404, "Lexicon not found")
	}
	return obj{}, err
}
